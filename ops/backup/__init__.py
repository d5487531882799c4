"""Keep and bring back what an arena knows: ``python -m ops.backup create|restore|list``.

One file holds the database, what matters of the store (live logs, messages in the queues, the audit log) and, if asked
for, the installation's secrets. The store is read before the database: a message whose work the database already has is
known again when it is taken a second time, and a battle whose message is missing is sent again by records.
"""
