/**
 * Runs the filters of a route one after the other. As long as none of them
 * returns a promise, neither do these functions: a synchronous chain costs no
 * microtask.
 */
import type { RequestHead, ResponseHead } from '../http/message.ts';
import type { Answer } from '../proxy/answer.ts';
import type { Awaitable } from '../proxy/proxy-http.ts';
import type { Session } from '../proxy/session.ts';
import type { Filter } from './filter.ts';

/** @returns the answer of the first filter that gives one; the others do not run */
export function runRequestFilters(
  filters: readonly Filter[],
  session: Session,
  from = 0,
): Awaitable<Answer | undefined> {
  for (let at = from; at < filters.length; at++) {
    const outcome = filters[at]!.requestFilter?.(session);
    if (outcome instanceof Promise) {
      return outcome.then((answer) => answer ?? runRequestFilters(filters, session, at + 1));
    }
    if (outcome !== undefined) return outcome;
  }
  return undefined;
}

export function runUpstreamRequestFilters(
  filters: readonly Filter[],
  session: Session,
  request: RequestHead,
  from = 0,
): Awaitable<void> {
  for (let at = from; at < filters.length; at++) {
    const done = filters[at]!.upstreamRequestFilter?.(session, request);
    if (done instanceof Promise) {
      return done.then(() => runUpstreamRequestFilters(filters, session, request, at + 1));
    }
  }
}

export function runResponseFilters(
  filters: readonly Filter[],
  session: Session,
  response: ResponseHead,
  from = 0,
): Awaitable<void> {
  for (let at = from; at < filters.length; at++) {
    const done = filters[at]!.responseFilter?.(session, response);
    if (done instanceof Promise) {
      return done.then(() => runResponseFilters(filters, session, response, at + 1));
    }
  }
}
