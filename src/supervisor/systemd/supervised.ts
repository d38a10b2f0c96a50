/** Tells systemd what the supervisor does, in its words, and lets it keep what must outlive us. */
import type { Log } from '../../shared/log/log.ts';
import { openLibc } from '../../shared/memory/libc.ts';
import type { Inheritance } from '../inheritance.ts';
import type { Observer } from '../lifecycle.ts';
import type { DrainReason, Operations } from '../operations.ts';
import { DescriptorStore } from './kept.ts';
import { takePassedDescriptors, type PassedDescriptor } from './passed-sockets.ts';
import { ServiceManager } from './service-manager.ts';

export interface Supervised {
  readonly passed: readonly PassedDescriptor[];
  /** Absent where no service manager listens. */
  readonly manager: ServiceManager | undefined;
}

/** Once per process, before it starts any other. */
export function meetServiceManager(log: Log): Supervised {
  const libc = openLibc();
  if ('unavailable' in libc) return { passed: [], manager: undefined };
  return {
    passed: takePassedDescriptors(libc),
    manager: ServiceManager.fromEnvironment(libc, log),
  };
}

export interface WatchedParts {
  readonly passed: readonly PassedDescriptor[];
  readonly operations: () => Operations;
  /** Of a predecessor that has handed over to us. */
  readonly inherited: () => Inheritance | undefined;
  /** Undefined before the start is over. */
  readonly inventory: () => Inheritance | undefined;
}

export function observerFor(
  manager: ServiceManager,
  { passed, operations, inherited, inventory }: WatchedParts,
): Observer {
  const store = new DescriptorStore(manager, passed);
  let isFirst = true;
  return {
    serving() {
      manager.serving(`serving with ${operations().status().workers?.length ?? 0} workers`);
      const before = isFirst ? inherited() : undefined;
      if (before !== undefined) store.assume(before);
      isFirst = false;
      const now = inventory();
      if (now !== undefined) store.keep(now);
      manager.watch(() => isHealthy(operations()));
    },
    reloading: () => manager.reloading(),
    draining(reason: DrainReason) {
      if (reason === 'handed-off') manager.retire();
      else manager.stopping('finishing running requests');
    },
    stopping: () => manager.stopping('stopping'),
  };
}

/** That this is asked at all shows that the supervisor lives. */
function isHealthy(operations: Operations): boolean {
  const { state, workers = [] } = operations.status();
  return state !== 'serving' || workers.some((worker) => worker.state === 'ready');
}
