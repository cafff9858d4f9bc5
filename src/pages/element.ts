/**
 * Creates an element with a class and content. Texts are inserted as text nodes, so that no name can become
 * markup.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  kind = '',
  ...inside: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  if (kind) made.className = kind
  made.append(...inside)
  return made
}
