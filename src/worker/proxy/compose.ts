/**
 * Makes one set of phases out of many, once, when a proxy is built. A phase that
 * none of them has stays undefined, one that a single one has is called without a
 * detour, and as long as none returns a promise neither does the whole.
 *
 * A request passes the filters in the order of the list and then the proxy's own
 * phases; a response passes them in reverse, as if each filter stood further out.
 */
import { Dispatch } from './dispatch.ts';
import type { Filter } from './filter.ts';
import {
  isPending,
  type Awaitable,
  type BodyOutcome,
  type Phases,
  type ProxyHttp,
} from './proxy-http.ts';
import type { Session } from './session.ts';

/** The proxy with those filters in front of it. */
export function withFilters<Ctx>(
  filters: readonly Filter<NoInfer<Ctx>>[],
  proxy: ProxyHttp<Ctx>,
): ProxyHttp<Ctx> {
  const inner = proxy as ProxyHttp<unknown>;
  if (inner instanceof Dispatch) {
    const all = [...(filters as readonly Filter[]), ...inner.filters];
    return new Dispatch(inner.routes, all) as ProxyHttp<unknown> as ProxyHttp<Ctx>;
  }
  const composed = compose([
    ...(filters as readonly Filter[]),
    { ...boundPhases(inner), name: 'proxy' },
  ]);
  const onlyOfProxy: Phases<unknown> = {
    ...(inner.newCtx && { newCtx: () => inner.newCtx!() }),
    ...(inner.onConnectionReuse && {
      onConnectionReuse: (session, kept) => inner.onConnectionReuse!(session, kept),
    }),
    ...(inner.persistConnectionContext && {
      persistConnectionContext: (session) => inner.persistConnectionContext!(session),
    }),
    upstreamPeer: (session) => inner.upstreamPeer(session),
  };
  const { responseFilterFor } = proxy;
  return {
    ...composed,
    ...onlyOfProxy,
    ...(responseFilterFor !== undefined && { responseFilterFor }),
  } as unknown as ProxyHttp<Ctx>;
}

/** How the phases of several filters become one, and in which order they run. */
const kinds = {
  connectionFilter: { how: 'first-outcome', order: 'down-the-list' },
  earlyRequestFilter: { how: 'all', order: 'down-the-list' },
  requestFilter: { how: 'first-outcome', order: 'down-the-list' },
  proxyUpstreamFilter: { how: 'first-outcome', order: 'down-the-list' },
  failToConnect: { how: 'first-outcome', order: 'down-the-list' },
  connectedToUpstream: { how: 'all', order: 'down-the-list' },
  upstreamRequestFilter: { how: 'all', order: 'down-the-list' },
  requestBodyFilter: { how: 'pipe', order: 'down-the-list' },
  errorWhileProxy: { how: 'first-outcome', order: 'down-the-list' },
  upstreamResponseFilter: { how: 'first-outcome', order: 'up-the-list' },
  responseFilter: { how: 'all', order: 'up-the-list' },
  upstreamResponseBodyFilter: { how: 'pipe', order: 'up-the-list' },
  upstreamResponseTrailerFilter: { how: 'all', order: 'up-the-list' },
  responseBodyFilter: { how: 'pipe', order: 'up-the-list' },
  responseTrailerFilter: { how: 'all', order: 'up-the-list' },
  failToProxy: { how: 'first-outcome', order: 'up-the-list' },
  suppressErrorLog: { how: 'first-outcome', order: 'up-the-list' },
  requestSummary: { how: 'first-outcome', order: 'up-the-list' },
  logging: { how: 'all', order: 'up-the-list' },
} as const satisfies Record<
  Exclude<keyof Filter, 'name'>,
  {
    readonly how: 'all' | 'first-outcome' | 'pipe';
    readonly order: 'down-the-list' | 'up-the-list';
  }
>;

export type FilterPhases = Omit<Filter, 'name'>;

/** All phases as if they took the same arguments: a session, or a connection, and up to two more. */
type Step = (first: never, second: unknown, third: unknown) => Awaitable<unknown>;

export function compose(filters: readonly Filter[]): FilterPhases {
  const composed: Record<string, Step> = {};
  for (const [phase, { how, order }] of Object.entries(kinds)) {
    const steps = filters.flatMap((filter) => stepOf(filter, phase as keyof FilterPhases) ?? []);
    if (order === 'up-the-list') steps.reverse();
    const [only] = steps;
    if (only === undefined) continue;
    if (steps.length === 1) composed[phase] = only;
    else composed[phase] = how === 'pipe' ? piped(steps) : inTurn(steps, how);
  }
  return composed;
}

function stepOf(filter: Filter, phase: keyof FilterPhases): Step | undefined {
  const step = filter[phase] as Step | undefined;
  return step?.bind(filter);
}

/** The phases of an object that may be an instance of a class: theirs are not its own properties. */
export function boundPhases(proxy: FilterPhases): FilterPhases {
  const phases: Record<string, Step> = {};
  for (const phase of Object.keys(kinds) as (keyof FilterPhases)[]) {
    const step = proxy[phase] as Step | undefined;
    if (step !== undefined) phases[phase] = step.bind(proxy);
  }
  return phases;
}

/** One after the other; with `first-outcome` only until one of them says something. */
function inTurn(steps: readonly Step[], how: 'all' | 'first-outcome'): Step {
  const runFrom = (start: number, first: never, second: unknown, third: unknown) => {
    for (let at = start; at < steps.length; at++) {
      const outcome = steps[at]!(first, second, third);
      if (isPending(outcome)) {
        return outcome.then((decided): Awaitable<unknown> =>
          isLast(decided, how) ? decided : runFrom(at + 1, first, second, third),
        );
      }
      if (isLast(outcome, how)) return outcome;
    }
    return undefined;
  };
  return (first, second, third) => runFrom(0, first, second, third);
}

function isLast(outcome: unknown, how: 'all' | 'first-outcome'): boolean {
  // `false` is what `suppressErrorLog` says when it has nothing to say.
  return how === 'first-outcome' && outcome !== undefined && outcome !== false;
}

type BodyStep = (session: Session, piece: Buffer, endOfBody: boolean) => Awaitable<BodyOutcome>;

/** What one lets through is what the next one sees. */
function piped(steps: readonly Step[]): Step {
  const bodySteps = steps as readonly unknown[] as readonly BodyStep[];
  const runFrom = (
    start: number,
    session: Session,
    given: Buffer,
    endOfBody: boolean,
  ): Awaitable<BodyOutcome> => {
    let piece = given;
    for (let at = start; at < bodySteps.length; at++) {
      if (piece.length === 0 && !endOfBody) return piece;
      const outcome = bodySteps[at]!(session, piece, endOfBody);
      if (isPending(outcome)) {
        const before = piece;
        return outcome.then((decided) =>
          runFrom(at + 1, session, asPiece(decided, before), endOfBody),
        );
      }
      piece = asPiece(outcome, piece);
    }
    return piece;
  };
  return runFrom.bind(undefined, 0) as unknown as Step;
}

function asPiece(outcome: BodyOutcome, before: Buffer): Buffer {
  if (outcome === undefined) return before;
  return typeof outcome === 'string' ? Buffer.from(outcome) : Buffer.from(outcome);
}
