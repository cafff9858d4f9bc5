/** An error of the limiter: a job was dropped, refused or took too long. */
export class BottleneckError extends Error {
  /** The name of the class. */
  override name = 'BottleneckError'
}
