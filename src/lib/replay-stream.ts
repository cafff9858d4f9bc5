/** A stream of the chunks that were read ahead, followed by the rest from the reader, which is read only on demand. */
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
