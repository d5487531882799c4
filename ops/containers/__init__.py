"""What the images are made of and with: every ``RUN`` of a Dockerfile is one of these, so that tests can run it too."""
