/** Which service waits for which, and for how long at most. */
import type { Dependency } from '../worker/tasks/task.ts';
import { BackgroundService } from './background-service.ts';
import type { Service } from './service.ts';

/** By the name of the service that waits. */
export type Dependencies = ReadonlyMap<string, readonly Dependency[]>;

/** @throws {Error} a service depends on one that is not among them, or, by others, on itself */
export function dependenciesOf(services: readonly Service[]): Dependencies {
  const patience = new Map<Service, number>();
  for (const service of services) {
    checkKnown(service, services);
    patienceWith(service, [], patience);
  }
  return new Map(
    services.map(({ name, dependencies }) => [
      name,
      [...dependencies].map((each) => ({ service: each.name, withinMs: patience.get(each)! })),
    ]),
  );
}

/** The longest that any of them may wait, in milliseconds. */
export function longestWait(dependencies: Dependencies): number {
  const waits = [...dependencies.values()].flat().map(({ withinMs }) => withinMs);
  return Math.max(0, ...waits);
}

function checkKnown({ name, dependencies }: Service, services: readonly Service[]): void {
  for (const other of dependencies) {
    if (services.includes(other)) continue;
    throw new Error(
      `service "${name}" depends on "${other.name}", which was not added to the server`,
    );
  }
}

/** Until a service is ready, the waits of those before it included. */
function patienceWith(
  service: Service,
  path: readonly Service[],
  known: Map<Service, number>,
): number {
  const found = known.get(service);
  if (found !== undefined) return found;
  const from = path.indexOf(service);
  if (from >= 0) {
    const circle = [...path.slice(from), service].map(({ name }) => `"${name}"`);
    throw new Error(`services depend on each other in a circle: ${circle.join(' → ')}`);
  }
  const before = [...service.dependencies].map((each) =>
    patienceWith(each, [...path, service], known),
  );
  const own = service instanceof BackgroundService ? service.readyTimeoutMs : OPENING_MS;
  const patience = own + Math.max(0, ...before);
  known.set(service, patience);
  return patience;
}

/** For a listening service to open its sockets, which are there already. */
const OPENING_MS = 5_000;
