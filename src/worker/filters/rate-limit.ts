/**
 * Refuses a request whose client has used up its allowance. It runs before
 * authentication, so that guessing keys is limited too.
 *
 * A request that one limit of several refuses spends nothing of the others. A
 * limit on trial (`isDryRun`) counts and logs what it would refuse, and lets pass.
 */
import { monotonicNs } from '../../shared/time/clock.ts';
import type { Headers } from '../http/headers.ts';
import { OncePerSecond } from '../limits/once-per-second.ts';
import { RateLimiter, type Charge, type Decision } from '../limits/rate-limiter.ts';
import { Answer } from '../proxy/answer.ts';
import type { Session } from '../proxy/session.ts';
import type { Filter } from './filter.ts';
import { loggedKey, type LimitKeyOf } from './limit-key.ts';

export interface Limit {
  readonly limiter: RateLimiter;
  /** Whose allowance the request spends. */
  readonly keyOf: LimitKeyOf;
  /** In requests. Default 1. */
  readonly cost?: number;
  readonly isDryRun?: boolean;
  /** By this name clients are told of the limit; without one they are not. */
  readonly toldAs?: string | undefined;
  /** Of the refusal. Default 429. */
  readonly status?: number;
  /** Of the refusal. Default: the words of the status. */
  readonly body?: string | undefined;
}

export interface RateLimitFilter extends Filter {
  /** Tells the client how it stands with the limits that it may know of. */
  readonly tell: (session: Session, headers: Headers) => void;
}

export function rateLimit(limits: readonly Limit[]): RateLimitFilter {
  const onTrial = limits.filter(({ isDryRun }) => isDryRun === true);
  const enforced = limits.filter(({ isDryRun }) => isDryRun !== true);
  const isTold = enforced.some(({ toldAs }) => toldAs !== undefined);
  const logged = new Map(limits.map((limit) => [limit, new OncePerSecond()]));
  const standings = new WeakMap<Session, Standing[]>();

  function tell(session: Session, headers: Headers): void {
    const told = standings.get(session);
    if (told !== undefined) tellStandings(told, headers);
  }

  return {
    name: 'rate-limit-address',
    tell,

    requestFilter(session) {
      // The request that it is made for has spent what that costs.
      if (session.parent !== undefined) return undefined;
      for (const limit of onTrial) tryOut(session, limit, logged);
      const applied = applicable(session, enforced);
      if (applied.length === 0) return undefined;
      const decisions = RateLimiter.checkAll(applied.map(({ charge }) => charge));
      if (isTold) standings.set(session, applied.flatMap(standingIn(decisions)));
      const last = decisions.at(-1)!;
      if (last.allowed) {
        session.figures.limitAllowed();
        return undefined;
      }
      session.figures.limitRefused();
      const refused = applied[decisions.length - 1]!;
      log(session, refused, logged);
      const answer = refusal(session, refused.limit, last);
      tell(session, answer.headers);
      return answer;
    },

    ...(isTold && {
      responseFilter: (session: Session, response: { readonly headers: Headers }) =>
        tell(session, response.headers),
    }),
  };
}

/** A limit, and what the request at hand costs in it. */
interface Applied {
  readonly limit: Limit;
  readonly charge: Charge;
}

function applicable(session: Session, limits: readonly Limit[]): Applied[] {
  const applied: Applied[] = [];
  for (const limit of limits) {
    const key = limit.keyOf(session);
    if (key === undefined) continue;
    const { limiter, cost = 1 } = limit;
    applied.push({ limit, charge: { limiter, key, cost } });
  }
  return applied;
}

function tryOut(session: Session, limit: Limit, logged: Logged): void {
  for (const applied of applicable(session, [limit])) {
    const { limiter, key, cost } = applied.charge;
    if (!limiter.check(key, cost).allowed) log(session, applied, logged);
  }
}

/** What each limit has logged in this second. */
type Logged = ReadonlyMap<Limit, OncePerSecond>;

function log(session: Session, { limit, charge: { key } }: Applied, logged: Logged): void {
  if (logged.get(limit)?.isFirst(key, monotonicNs()) !== true) return;
  const fields = { limit: limit.limiter.name, key: loggedKey(key) };
  if (limit.isDryRun === true) session.log.info(fields, 'a limit on trial would refuse requests');
  else session.log.info(fields, 'a limit refuses requests');
}

function refusal(session: Session, limit: Limit, decision: Decision): Answer {
  const { status = 429, body } = limit;
  const answer = session.respondError(status, { 'retry-after': retryAfter(decision) });
  return body === undefined ? answer : new Answer({ status, headers: answer.headers, body });
}

/** Whole seconds, rounded up: a client that came back early would only be refused again. */
function retryAfter({ retryAfterMs }: Decision): string {
  return String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
}

/** What a client is told about one limit. */
interface Standing {
  readonly policy: string;
  readonly state: string;
}

function standingIn(decisions: readonly Decision[]) {
  return ({ limit: { toldAs, limiter } }: Applied, nth: number): Standing[] => {
    const decision = decisions[nth];
    if (toldAs === undefined || decision === undefined) return [];
    const { burst, count, perMs } = limiter.spec.policy;
    // The time after which a client that has spent everything has everything again.
    const window = Math.max(1, Math.ceil((burst * perMs) / count / 1000));
    const reset = Math.ceil(decision.resetMs / 1000);
    return [
      {
        policy: `"${toldAs}";q=${burst};w=${window}`,
        state: `"${toldAs}";r=${decision.remaining};t=${reset}`,
      },
    ];
  };
}

/** As draft-ietf-httpapi-ratelimit-headers-11 has it. What the peer says of limits of its own is not about this client. */
function tellStandings(standings: readonly Standing[], headers: Headers): void {
  if (standings.length === 0) return;
  headers.set('RateLimit-Policy', standings.map(({ policy }) => policy).join(', '));
  headers.set('RateLimit', standings.map(({ state }) => state).join(', '));
}
