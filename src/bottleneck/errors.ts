/** An error of the limiter: a job was dropped, rejected or timed out. */
export class BottleneckError extends Error {
  /** The name of the class. */
  override name = 'BottleneckError'
}
