/** One way in which a request, or an attempt to make one, came to nothing. */

/**
 * `refused`: the connection was not made, and nothing was sent;
 * `reset`: the connection was reset before the answer was complete;
 * `cut`: it ended before the answer was complete;
 * `wrong`: an answer, but not the one to this request;
 * `late`: no answer within the client's patience.
 */
export type LossKind = 'refused' | 'reset' | 'cut' | 'wrong' | 'late';

export class Loss extends Error {
  override readonly name = 'Loss';
  readonly kind: LossKind;
  /** The connection belonged to a worker that was killed on purpose. */
  readonly byKill: boolean;

  constructor(kind: LossKind, message: string, byKill = false) {
    super(message);
    this.kind = kind;
    this.byKill = byKill;
  }
}
