/** A stream that gives what was read ahead, and then whatever the reader still gives: no sooner than it is asked for. */
export const replayStream = <T>(
  seen: { readonly done?: boolean | undefined; readonly value?: T | undefined }[],
  reader: ReadableStreamDefaultReader<T>,
): ReadableStream<T> =>
  new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = seen.shift() ?? (await reader.read())
        if (done) controller.close()
        else controller.enqueue(value as T)
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
