/** What the configuration says about where peers come from, as a program would say it. */
import type { UpstreamSettings } from '../../shared/config/settings.ts';
import type { Discovery } from '../discovery/discovery.ts';
import { dnsPeers } from '../discovery/dns.ts';
import { dnsSrvPeers } from '../discovery/dns-srv.ts';
import { filePeers } from '../discovery/file.ts';
import { kubernetesPeers } from '../discovery/kubernetes/kubernetes.ts';

export function discoveryFrom({ discovery }: UpstreamSettings): Discovery | undefined {
  if (discovery === undefined) return undefined;
  switch (discovery.type) {
    case 'dns':
      return dnsPeers({
        name: discovery.name,
        port: discovery.port,
        family: discovery.family,
        minTtlMs: discovery.min_ttl,
        maxTtlMs: discovery.max_ttl,
        ...serversOf(discovery),
      });
    case 'dns_srv':
      return dnsSrvPeers({
        name: discovery.name,
        intervalMs: discovery.interval,
        ...serversOf(discovery),
      });
    case 'file':
      return filePeers({ path: discovery.path, intervalMs: discovery.interval });
    case 'kubernetes':
      return kubernetesPeers({
        service: discovery.service,
        namespace: discovery.namespace,
        port: discovery.port,
        apiServer: discovery.api_server,
        tokenFile: discovery.token_file,
        caFile: discovery.ca_file,
      });
  }
}

interface DnsSettings {
  readonly servers?: readonly string[] | undefined;
  readonly timeout: number;
  readonly tries: number;
}

function serversOf({ servers, timeout, tries }: DnsSettings) {
  return { servers, timeoutMs: timeout, tries };
}

/** Its peers are addresses; a certificate is for the name. */
export function discoveredName({ discovery }: UpstreamSettings): string | undefined {
  return discovery?.type === 'dns' ? discovery.name : undefined;
}
