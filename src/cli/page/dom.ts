export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  words = '',
  kind = '',
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  if (words) made.textContent = words
  if (kind) made.className = kind
  return made
}
