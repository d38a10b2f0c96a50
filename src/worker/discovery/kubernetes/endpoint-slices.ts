/**
 * From EndpointSlices to peers. Pure: what the API server has told goes in.
 *
 * A service has several slices; a pod may stand in two of them for a moment, and in
 * one for each family. The rules are those of kube-proxy: pods that are ready get
 * traffic; if there are none, those that are ending but still serve.
 */
import type { FoundPeer } from '../discovery.ts';

/** What of discovery.k8s.io/v1 is looked at; nothing of it can be relied on. */
export interface EndpointSlice {
  readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
  /** `IPv4`, `IPv6` or `FQDN`. */
  readonly addressType?: string;
  readonly endpoints?: readonly Endpoint[] | null;
  readonly ports?: readonly EndpointPort[] | null;
}

interface Endpoint {
  readonly addresses?: readonly string[] | null;
  readonly conditions?: {
    readonly ready?: boolean | null;
    readonly serving?: boolean | null;
    readonly terminating?: boolean | null;
  } | null;
}

interface EndpointPort {
  readonly name?: string | null;
  readonly port?: number | null;
  readonly protocol?: string | null;
}

interface Serving extends FoundPeer {
  readonly isReady: boolean;
  readonly family: string;
}

/**
 * @param port number or name; `undefined`: the only one that the service has
 * @throws {Error} the service has no such port, or several and none was named
 */
export function peersFrom(
  slices: Iterable<EndpointSlice>,
  port: number | string | undefined,
): readonly FoundPeer[] {
  const serving = [...slices].flatMap((slice) => servingIn(slice, port));
  const ready = serving.filter(({ isReady }) => isReady);
  const used = ready.length > 0 ? ready : serving;
  // With both families each pod would count twice.
  const [family] = ['IPv4', 'IPv6', 'FQDN'].filter((each) =>
    used.some((peer) => peer.family === each),
  );
  return used.filter((peer) => peer.family === family).map(({ address }) => ({ address }));
}

function servingIn(slice: EndpointSlice, port: number | string | undefined): Serving[] {
  const { addressType: family = '', endpoints } = slice;
  const used = (endpoints ?? []).flatMap((endpoint) => {
    // Of several addresses of one endpoint the first one is meant.
    const host = endpoint.addresses?.[0];
    const isReady = endpoint.conditions?.ready ?? true;
    return host === undefined || !(isReady || isEndingButServes(endpoint))
      ? []
      : [{ host, isReady }];
  });
  // A slice without anybody may be without ports as well.
  if (used.length === 0) return [];
  const number = portIn(slice, port);
  return used.map(({ host, isReady }) => ({
    address: `${host.includes(':') ? `[${host}]` : host}:${number}`,
    isReady,
    family,
  }));
}

function isEndingButServes({ conditions }: Endpoint): boolean {
  return conditions?.serving === true && conditions.terminating === true;
}

function portIn({ ports, metadata }: EndpointSlice, wanted: number | string | undefined): number {
  const tcp = (ports ?? []).filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP');
  const fitting =
    wanted === undefined
      ? tcp
      : tcp.filter(({ name, port }) => (typeof wanted === 'number' ? port : name) === wanted);
  const [only] = fitting;
  if (fitting.length === 1 && typeof only?.port === 'number') return only.port;
  const there = tcp.map(({ name, port }) => (name ? `${name} (${port})` : `${port}`)).join(', ');
  const meant = wanted === undefined ? 'one port, or a "port" that says which' : `port ${wanted}`;
  throw new Error(`EndpointSlice ${metadata?.name}: expected ${meant}, got ${there || 'none'}`);
}
