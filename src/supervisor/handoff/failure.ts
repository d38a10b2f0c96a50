import { BrokenFrame } from './frames.ts';
import type { Failure } from './states.ts';

/** Why a hand-off ends before its end; the message is for the log and for whoever asked. */
export class HandoffFailure extends Error {
  override readonly name = 'HandoffFailure';
  readonly event: Failure;

  constructor(event: Failure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.event = event;
  }
}

export function asFailure(thrown: unknown, other = 'the other side'): HandoffFailure {
  if (thrown instanceof HandoffFailure) return thrown;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  if (thrown instanceof BrokenFrame) {
    const what = `${other} breaks the protocol of the hand-off: ${reason}`;
    return new HandoffFailure('broken', what, { cause: thrown });
  }
  return new HandoffFailure('failed', reason, { cause: thrown });
}
