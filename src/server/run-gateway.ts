/**
 * The `sluice` command: a gateway from a configuration file. It is a program
 * like any other on this framework.
 */
import { balancersFrom, gateway } from '../worker/filters/gateway.ts';
import type { PathSpelling } from '../worker/http/path.ts';
import { Server, type ServerOptions } from './server.ts';
import { HttpProxyService } from './service.ts';

function pathsOf({ paths = [] }: { readonly paths?: PathSpelling[] | undefined }): PathSpelling[] {
  return paths;
}

/** Ends the process; see `Server.run`. */
export function runGateway(options: ServerOptions = {}): Promise<never> {
  const server = Server.fromArgs(options);
  const balancers = balancersFrom(server.settings, (path) => server.readPem(path));
  for (const settings of server.settings.services) {
    const service = new HttpProxyService(
      settings.name,
      gateway(settings, balancers),
      // What one route allows must get as far as the routes; the others refuse it there.
      {
        settings: {
          ...settings,
          paths: [...new Set([settings, ...settings.routes].flatMap(pathsOf))],
        },
      },
    );
    for (const { place, tls } of settings.listen) service.addListener(place, tls);
    server.addService(service);
  }
  return server.run();
}
