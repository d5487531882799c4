/** A table that scrolls by itself on a narrow screen, with the keyboard too. */
import type { ComponentChildren } from "preact";

interface Props {
  name: string;
  head: readonly string[];
  empty: string;
  children: ComponentChildren[];
}

export function Table({ name, head, empty, children }: Props) {
  if (!children.length) return <p class="quietly">{empty}</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={name}>
      <table>
        <thead><tr>{head.map((column) => <th key={column} scope="col">{column}</th>)}</tr></thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
