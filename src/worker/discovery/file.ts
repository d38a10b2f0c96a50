/**
 * A file with a list of peers, looked at once a second. It is asked for and not
 * listened to: inotify tells nothing of network file systems, nor of the links that
 * Kubernetes turns round under a ConfigMap.
 *
 * Replace it in one step, by a rename, as `mv` does. Content that is none keeps the
 * last set; an empty list is content.
 */
import { readFile, stat } from 'node:fs/promises';
import { parsePeerFile } from '../../shared/config/peer-file.ts';
import { refuseNoTime, refuseUnknown } from '../../shared/config/options.ts';
import { formatProblem } from '../../shared/config/problem.ts';
import type { Discovery, DiscoveryWatcher, FoundPeer } from './discovery.ts';

export interface FileOptions {
  /** YAML or JSON: addresses, or `{ address, weight, priority, backup }`. */
  readonly path: string;
  /** Between two looks at it. Default 1,000 ms. */
  readonly intervalMs?: number | undefined;
}

const OPTIONS = { path: true, intervalMs: true } as const;

/** A thousand peers need a quarter of it. */
const MAX_BYTES = 256 * 1024;

/** @throws {TypeError} an option is not known or makes no sense */
export function filePeers(options: FileOptions): Discovery {
  const { path, intervalMs = 1_000 } = options;
  refuseUnknown('filePeers', options, OPTIONS);
  refuseNoTime('filePeers', { intervalMs });
  if (typeof path !== 'string' || path === '')
    throw new TypeError(
      `filePeers: path: expected the path of a file, got ${JSON.stringify(path)}`,
    );
  return { source: `file ${path}`, watch: (watcher) => watch(path, intervalMs, watcher) };
}

/** What is in it, which is worked out once for each version. */
type Content = { readonly peers: readonly FoundPeer[] } | { readonly problem: Error };

/** What was read of one version of the file. */
interface Reading {
  readonly version: string;
  readonly content: Content;
  /** It had been left alone for a while: two changes within one tick of a file system's clock look like one. */
  readonly isSettled: boolean;
}

/** Longer than the tick of any file system that is read often. */
const SETTLED_MS = 100;

async function watch(path: string, intervalMs: number, watcher: DiscoveryWatcher): Promise<void> {
  let known: Reading | undefined;
  while (!watcher.signal.aborted) {
    try {
      const { version, changedAtMs } = await stateOf(path);
      if (known?.version !== version || !known.isSettled) {
        const isSettled = Math.abs(Date.now() - changedAtMs) > SETTLED_MS;
        const content = contentOf(await readFile(path, 'utf8'), path);
        // If not: somebody is writing it just now, and what was read may be half of it.
        if ((await stateOf(path)).version === version) known = { version, content, isSettled };
      }
      if (known?.version === version) tell(known.content, watcher);
    } catch (thrown) {
      watcher.failed(thrown as Error);
    }
    await watcher.pause(intervalMs);
  }
}

function tell(content: Content, watcher: DiscoveryWatcher): void {
  if ('peers' in content) watcher.found(content.peers);
  else watcher.failed(content.problem);
}

/** `version` is another one after every change, whether the file was written to or replaced. */
async function stateOf(path: string): Promise<{ version: string; changedAtMs: number }> {
  const facts = await stat(path, { bigint: true });
  // A device or a pipe could be read without end.
  if (!facts.isFile()) throw new Error(`${path}: expected a file with a list of peers`);
  const { dev, ino, size, mtimeNs, ctimeNs } = facts;
  if (size > MAX_BYTES)
    throw new Error(`${path}: expected at most ${MAX_BYTES} bytes of peers, got ${size}`);
  return {
    version: [dev, ino, size, mtimeNs, ctimeNs].join(' '),
    changedAtMs: Number(ctimeNs / 1_000_000n),
  };
}

function contentOf(text: string, path: string): Content {
  const outcome = parsePeerFile(text, path);
  if ('peers' in outcome) return outcome;
  const [first] = outcome.problems;
  const more = outcome.problems.length - 1;
  const rest = more === 0 ? '' : `\nand ${more} more`;
  return { problem: new Error(formatProblem(first!, text) + rest) };
}
