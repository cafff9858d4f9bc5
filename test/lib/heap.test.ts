import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Heap } from '../../src/lib/heap.ts'

type Step = { do: 'push' | 'pop' | 'remove' | 'move'; key: number; pick: number }
const steps = fc.array(
  fc.record<Step>({
    do: fc.constantFrom('push', 'push', 'pop', 'remove', 'move'),
    key: fc.integer({ min: 0, max: 20 }),
    pick: fc.nat(),
  }),
  { maxLength: 200 },
)

test('whatever is pushed, moved and removed, the first is the least, and each knows its index', () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const heap = new Heap<{ at: number; key: number }>((a, b) => a.key < b.key)
      const inside: { at: number; key: number }[] = []
      for (const step of steps) {
        const one = inside[step.pick % Math.max(1, inside.length)]
        if (step.do === 'push') {
          const item = { at: -1, key: step.key }
          inside.push(item)
          heap.push(item)
        } else if (one) {
          if (step.do === 'move') {
            one.key = step.key
            heap.moved(one)
          } else {
            const out = step.do === 'pop' ? heap.first! : one
            heap.remove(out)
            inside.splice(inside.indexOf(out), 1)
            expect(out.at).toBe(-1)
            heap.remove(out)
          }
        }
        expect(heap.size).toBe(inside.length)
        expect(heap.first?.key).toBe(inside.length ? Math.min(...inside.map(({ key }) => key)) : undefined)
        heap.values().forEach((item, i) => expect(item.at).toBe(i))
      }
    }),
  )
})
