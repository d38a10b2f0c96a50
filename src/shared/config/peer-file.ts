/**
 * A file with the peers of one upstream, YAML or JSON: a list as under `peers` of
 * the configuration, alone or as `peers:` of a mapping.
 */
import { LineCounter, isMap, isNode, parseDocument, type Document } from 'yaml';
import * as z from 'zod';
import { showPlace } from '../ipc/place.ts';
import { nearest, type Problem } from './problem.ts';
import { peer } from './schema/upstream.ts';

export interface ListedPeer {
  readonly address: string;
  readonly weight: number;
  readonly priority: number;
}

const list = z.array(peer);
const mapping = z.strictObject({ peers: list });

/** All that is wrong with it, or the peers; an empty list is one. */
export function parsePeerFile(
  source: string,
  file: string,
): { readonly peers: readonly ListedPeer[] } | { readonly problems: readonly Problem[] } {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines });
  const problem = (offset: number, path: readonly PropertyKey[], message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    const shown = path.map((part) => (typeof part === 'number' ? `[${part}]` : String(part)));
    return {
      file,
      line: Math.max(1, line),
      column: Math.max(1, col),
      path: shown.join(''),
      message,
    };
  };
  if (document.errors.length > 0) {
    return {
      problems: document.errors.map(({ pos, message }) =>
        problem(pos[0], [], message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '')),
      ),
    };
  }
  if (document.contents === null)
    return {
      problems: [problem(0, [], 'expected a list of peers, got nothing; write [] for none')],
    };
  const isMapping = isMap(document.contents);
  const parsed = (isMapping ? mapping : list).safeParse(document.toJS({ maxAliasCount: 100 }));
  if (!parsed.success) {
    return {
      problems: parsed.error.issues.map((issue) =>
        problem(offsetOf(document, issue.path), issue.path, worded(issue)),
      ),
    };
  }
  const peers = Array.isArray(parsed.data) ? parsed.data : parsed.data.peers;
  return {
    peers: peers.map((each) => ({
      address: showPlace(each),
      weight: each.weight,
      priority: each.priority,
    })),
  };
}

const KEYS = ['address', 'weight', 'priority', 'backup'];

function worded(issue: z.core.$ZodIssue): string {
  const { code, path, message } = issue;
  if (code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    const known = path.length === 0 ? ['peers'] : KEYS;
    const meant = nearest(key, known);
    return `unknown key "${key}"; ${meant === undefined ? `there is ${known.join(', ')}` : `did you mean "${meant}"?`}`;
  }
  const isList = path.length === 0 || path.at(-1) === 'peers';
  return code === 'invalid_type' && isList ? 'expected a list of peers' : message;
}

/** Where the value is, or the nearest that it is part of. */
function offsetOf(document: Document.Parsed, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length) as unknown[], true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}
