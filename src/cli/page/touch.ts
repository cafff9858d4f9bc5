// Touch gestures on a graph: two fingers zoom, and one moves it sideways. Vertical moves scroll the page.

export interface Touched {
  /** The time at a position on the screen, and the width of the graph in pixels. */
  momentAt: (clientX: number) => number
  edges: () => { left: number; width: number }
  onStart: () => void
  onMove: (from: number, to: number) => void
}

export function listenToTouch(element: HTMLElement, { momentAt, edges, onStart, onMove }: Touched): void {
  /** The times under the fingers. */
  let held: number[] = []
  let perPx = 0

  const begin = ({ touches }: TouchEvent) => {
    held = [...touches].slice(0, 2).map(({ clientX }) => momentAt(clientX))
    perPx = momentAt(1) - momentAt(0)
  }
  element.addEventListener('touchstart', (event) => {
    if (held.length === 0) onStart()
    begin(event)
  })
  element.addEventListener('touchend', begin)
  element.addEventListener('touchcancel', begin)
  element.addEventListener(
    'touchmove',
    (event) => {
      const { left, width } = edges()
      const [a, b] = [...event.touches].map(({ clientX }) => clientX - left)
      const [first, second] = held
      if (a === undefined || first === undefined) return
      event.preventDefault()
      if (b !== undefined && second !== undefined && Math.abs(b - a) > 10) perPx = (second - first) / (b - a)
      if (perPx <= 0) return
      const from = first - a * perPx
      onMove(from, from + width * perPx)
    },
    { passive: false },
  )
}
