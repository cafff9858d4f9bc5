// Escapes text from a log for markup, because a limiter's name may come from anywhere.

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

// Control characters may not stand in XML, not even escaped.
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g

export const escape = (text: string) =>
  text.replace(CONTROL, '\ufffd').replace(/[&<>"']/g, (char) => ENTITIES[char]!)

/** Serialises data for a script of the page, so that it cannot end the script. */
export const json = (data: unknown) => JSON.stringify(data).replaceAll('<', '\\u003c')
