/** Bring drawn nodes to what they should be, leaving alone all that is the same: layout, painting and a selection stay. */

/** Make the children of `parent` from `first` on (none, where that is null) equal to `wanted`. */
export function patch(parent: Node, first: Node | null, wanted: readonly Node[]): void {
  let old = first;
  for (const node of wanted) {
    const next: Node | null = old?.nextSibling ?? null;
    if (!old) parent.appendChild(node);
    else if (!old.isEqualNode(node)) renew(parent, old, node);
    old = next;
  }
  while (old) {
    const next: Node | null = old.nextSibling;
    parent.removeChild(old);
    old = next;
  }
}

function renew(parent: Node, old: Node, node: Node): void {
  if (old instanceof Text && node instanceof Text) old.data = node.data;
  else if (alike(old, node)) patch(old, old.firstChild, [...node.childNodes]);
  else parent.replaceChild(node, old);
}

/** Whether both are elements that differ in their content only. */
function alike(old: Node, node: Node): boolean {
  return old instanceof Element && node instanceof Element && old.cloneNode(false).isEqualNode(node.cloneNode(false));
}
