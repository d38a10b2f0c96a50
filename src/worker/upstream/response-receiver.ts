import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { IncomingBody, OutgoingBody } from '../http/body.ts';
import type { ResponseHead } from '../http/message.ts';

/** Whoever sent a request. Hears of interim answers, and then of exactly one of the other three. */
export interface ResponseReceiver {
  /** A 1xx answer; another one follows. */
  onInterim(head: ResponseHead): void;
  /** The final head; its body, if any, is still to be started. Failures from here on reach the body's receiver. */
  onResponse(head: ResponseHead, body: IncomingBody | undefined): void;
  /** A 101: what the peer sends from now on is read from `tunnel`, and what goes to it is written there. */
  onUpgraded(head: ResponseHead, tunnel: IncomingBody & OutgoingBody): void;
  /** There will be no response. */
  onFailed(error: ProxyError): void;
}
