/**
 * The metrics page on an address of its own, for a Prometheus that may not reach
 * the admin page.
 *
 * Workers serve it, each on its own socket as for every service, and not the
 * supervisor, which reads no byte of a client. Any of them can: the figures are in
 * memory that all share, so each answers for all, also while the supervisor is
 * away. What prom-client tells about a process is left out, since that would be a
 * different one with each scrape.
 */
import { refuseUnknown } from '../shared/config/options.ts';
import { METRICS_TYPE } from '../shared/metrics/content-type.ts';
import type { MetricsPage, MetricsSource } from '../shared/metrics/page.ts';
import type { Session } from '../worker/proxy/session.ts';
import type { Answer } from '../worker/proxy/answer.ts';
import { pathOf } from '../worker/router/router.ts';
import { httpService } from './http-service.ts';
import { HttpProxyService } from './service.ts';

export interface PrometheusOptions {
  /** In logs and metrics. Default: `metrics`. */
  readonly name?: string;
}

/**
 * Makes a service that answers `GET /metrics`; add it to a server.
 *
 * @param address `127.0.0.1:9090`, `[::1]:9090`; whoever reaches it can read the figures
 * @throws {TypeError} the address is neither, or an option unknown
 */
export function prometheusService(
  address: string,
  options: PrometheusOptions = {},
): HttpProxyService {
  refuseUnknown('prometheusService', options, { name: true });
  const { name = 'metrics' } = options;
  const shown = new ShownMetrics();
  const { proxy } = httpService((session) => shown.answer(session));
  return new HttpProxyService(name, proxy, {
    showMetrics: (source) => shown.use(source),
  }).addTcp(address);
}

class ShownMetrics {
  #source: MetricsSource | undefined;
  #page: Promise<MetricsPage> | undefined;
  /** Those who ask while it is being made get the same one. */
  #text: Promise<string> | undefined;

  use(source: MetricsSource): void {
    this.#source = source;
  }

  async answer(session: Session<undefined>): Promise<Answer> {
    const { method, target } = session.request;
    if (pathOf(target) !== '/metrics') return session.respondError(404);
    if (method !== 'GET' && method !== 'HEAD')
      return session.respondError(405, { allow: 'GET, HEAD' });
    this.#text ??= this.#render().finally(() => {
      this.#text = undefined;
    });
    const headers = { 'content-type': METRICS_TYPE, 'cache-control': 'no-store' };
    return session.respond({ status: 200, headers, body: await this.#text });
  }

  async #render(): Promise<string> {
    this.#page ??= this.#makePage();
    return (await this.#page).text();
  }

  /** With the first scrape: workers that are never asked do not load what renders it. */
  async #makePage(): Promise<MetricsPage> {
    const { MetricsPage } = await import('../shared/metrics/page.ts');
    return new MetricsPage(this.#source!, 'fleet');
  }
}
