/** A proxy of the program, under a name, on some addresses. */
import type { BootService } from '../shared/ipc/boot.ts';
import type { ListenAddress } from '../supervisor/listeners/sockets.ts';
import type { ProxyHttp } from '../worker/proxy/proxy-http.ts';
import type { ServiceTiming } from '../worker/start.ts';

/** Limits and timeouts of a service's client connections, in milliseconds and bytes. */
export type ConnectionSettings = Omit<BootService, 'name'>;

export interface ServiceOptions extends ServiceTiming {
  /** In logs and metrics. Default: `proxy`. */
  readonly name?: string;
}

export class HttpProxyService {
  readonly name: string;
  readonly proxy: ProxyHttp<unknown>;
  readonly settings: ConnectionSettings | undefined;
  readonly timing: ServiceTiming;
  readonly #listen: ListenAddress[] = [];

  constructor(
    name: string,
    proxy: ProxyHttp<unknown>,
    settings?: ConnectionSettings,
    timing: ServiceTiming = {},
  ) {
    this.name = name;
    this.proxy = proxy;
    this.settings = settings;
    this.timing = timing;
  }

  get listen(): readonly ListenAddress[] {
    return this.#listen;
  }

  /**
   * Accepts HTTP/1 on a TCP address.
   *
   * @param address `127.0.0.1:6188`, `[::1]:6188`; port 0 lets the system choose
   * @throws {TypeError} the address is neither
   */
  addTcp(address: string): this {
    const match = ADDRESS.exec(address);
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || port > 65_535) {
      throw new TypeError(
        `addTcp: expected "host:port" or "[ipv6]:port", got ${JSON.stringify(address)}`,
      );
    }
    return this.addListener(host, port);
  }

  /** As `addTcp`, with the parts already apart. */
  addListener(host: string, port: number): this {
    this.#listen.push({ service: this.name, host, port });
    return this;
  }
}

const ADDRESS = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/;

/** Makes a service of your phases; give it addresses and add it to a server. */
export function httpProxyService<Ctx>(
  proxy: ProxyHttp<Ctx>,
  options: ServiceOptions = {},
): HttpProxyService {
  // Inside, nothing looks into a context: only the phases that made it do.
  return new HttpProxyService(options.name ?? 'proxy', proxy, undefined, options);
}
