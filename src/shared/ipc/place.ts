/** Where a service can be reached: an address of the network, or a Unix socket. */
export type Place = TcpPlace | UnixPlace;

export interface TcpPlace {
  /** Numeric, or `localhost`, which is 127.0.0.1. */
  readonly host: string;
  /** 0: the system chooses one. */
  readonly port: number;
}

export interface UnixPlace {
  readonly path: string;
  /** Permissions of the socket's file. */
  readonly mode: number;
}

/** Owner and group, and not everybody: whoever may write to the file may connect. */
export const DEFAULT_UNIX_MODE = 0o660;

/** As it is written in a configuration file. */
export function showPlace(place: TcpPlace | Pick<UnixPlace, 'path'>): string {
  if ('path' in place) return `unix:${place.path}`;
  return place.host.includes(':') ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`;
}

/**
 * Whether a connection could mean either. An address of this machine is covered
 * by the one that stands for all of them: the kernel would give some connections
 * to one listener and some to the other.
 */
export function collide(left: Place, right: Place): boolean {
  if ('path' in left || 'path' in right)
    return 'path' in left && 'path' in right && left.path === right.path;
  if (left.port !== right.port || left.port === 0) return false;
  const [one, other] = [numeric(left.host), numeric(right.host)];
  if (one === other) return true;
  if (one.includes(':') !== other.includes(':')) return false;
  return WILDCARDS.has(one) || WILDCARDS.has(other);
}

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

function numeric(host: string): string {
  return host === 'localhost' ? '127.0.0.1' : host;
}
