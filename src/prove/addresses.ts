/**
 * How a request names itself, so that its answer can be known by its name:
 *
 *     /sluice-prove/RUN/CLIENT/NUMBER/KIND?bytes=…&ms=…
 */

/** Everything below is the proof's; a copied configuration gets a route for it. */
export const PREFIX = '/sluice-prove';

/** The origin says in this field whose answer it is. */
export const ID_FIELD = 'x-prove-id';

export const kinds = ['echo', 'download', 'upload', 'websocket', 'events'] as const;
export type Kind = (typeof kinds)[number];

export interface RequestName {
  readonly run: string;
  readonly client: string;
  readonly number: number;
}

export function idOf({ run, client, number }: RequestName): string {
  return `${run}/${client}/${number}`;
}

export function targetOf(name: RequestName, kind: Kind, query = ''): string {
  return `${PREFIX}/${idOf(name)}/${kind}${query}`;
}

export interface Target extends RequestName {
  readonly kind: Kind;
  readonly query: URLSearchParams;
}

export function parseTarget(target: string): Target | undefined {
  const [path = '', query = ''] = target.split('?');
  const [empty, prefix, run = '', client = '', number = '', kind = '', ...more] = path.split('/');
  const known = kinds.find((each) => each === kind);
  if (empty !== '' || `/${prefix}` !== PREFIX || more.length > 0) return undefined;
  if (known === undefined || !/^\d{1,9}$/.test(number)) return undefined;
  return { run, client, number: Number(number), kind: known, query: new URLSearchParams(query) };
}
