/** Reads a configuration file, checks it, and reports everything that is wrong with it at once. */
import { readFileSync } from 'node:fs';
import {
  LineCounter,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  parseAllDocuments,
  stringify,
  visit,
  type Document,
} from 'yaml';
import type * as z from 'zod';
import { collide, showPlace, type Place } from '../ipc/place.ts';
import { PemFiles, type Finding } from '../tls/pem-files.ts';
import { partsOf, type Parts, type RouteParts, type UpstreamParts } from './parts.ts';
import { nearest, type Problem } from './problem.ts';
import { connectionSchema } from './schema/connection.ts';
import { pingoraOnly, settingsSchema } from './schema/settings.ts';
import type { Settings } from './settings.ts';
import { substituteVariables } from './variables.ts';

export interface Loaded {
  readonly ok: true;
  readonly settings: Settings;
  /** Top-level keys that are not Sluice's. */
  readonly user: Readonly<Record<string, unknown>>;
  /** Certificates and keys that the file names, read and checked. */
  readonly pem: PemFiles;
  readonly warnings: readonly Problem[];
  readonly source: string;
}

export interface Refused {
  readonly ok: false;
  readonly problems: readonly Problem[];
  readonly source: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function loadConfig(path: string, env: Environment): Loaded | Refused {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (thrown) {
    const message = `cannot read the file: ${(thrown as Error).message}`;
    return {
      ok: false,
      problems: [{ file: path, line: 1, column: 1, path: '', message }],
      source: '',
    };
  }
  return parseConfig(source, path, env);
}

/** What a program gets that names no file. */
export function defaultConfig(env: Environment): Loaded | Refused {
  return parseConfig('version: 1\n', '(defaults)', env);
}

/**
 * A configuration that a program has put together, with the keys of the file. It is written
 * out first, so that problems can show their place in it; a dollar in it is a dollar.
 */
export function objectConfig(configuration: object, env: Environment): Loaded | Refused {
  const source = stringify({ version: 1, ...configuration }, { aliasDuplicateObjects: false });
  return outcomeOf(new Reading(source, 'configuration', env, 'literal'), source);
}

/** For services that a program makes itself. */
export function connectionDefaults(): z.output<typeof connectionSchema> {
  return connectionSchema.parse({});
}

export function parseConfig(source: string, file: string, env: Environment): Loaded | Refused {
  return outcomeOf(new Reading(source, file, env, 'substituted'), source);
}

function outcomeOf(reading: Reading, source: string): Loaded | Refused {
  const settings = reading.settings();
  if (settings === undefined || reading.problems.length > 0) {
    const problems = reading.problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
    return { ok: false, problems, source };
  }
  const { user, pem, warnings } = reading;
  return { ok: true, settings, user, pem, warnings, source };
}

type Path = readonly PropertyKey[];

const KNOWN = Object.keys(settingsSchema.shape);

const NO_UPSTREAMS: ReadonlyMap<string, UpstreamParts> = new Map();

class Reading {
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  readonly user: Record<string, unknown> = {};
  pem = new PemFiles(undefined);
  readonly #file: string;
  readonly #env: Environment;
  readonly #dollars: 'substituted' | 'literal';
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed | undefined;

  constructor(source: string, file: string, env: Environment, dollars: 'substituted' | 'literal') {
    this.#file = file;
    this.#env = env;
    this.#dollars = dollars;
    // Duplicate keys are looked for below: the library's own check is quadratic.
    const documents = parseAllDocuments(source, {
      lineCounter: this.#lines,
      merge: true,
      uniqueKeys: false,
    });
    const list = Array.isArray(documents) ? documents : [];
    this.#document = list[0];
    if (list.length > 1)
      this.#problem(list[1]!.range[0], [], 'expected one document, got a second one');
    for (const { pos, message } of this.#document?.errors ?? []) {
      this.#problem(pos[0], [], message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, ''));
    }
  }

  settings(): Settings | undefined {
    const document = this.#document;
    if (this.problems.length > 0) return undefined;
    if (document === undefined || !isMap(document.contents)) {
      this.#problem(0, [], 'expected a mapping with "version: 1" at its top, got something else');
      return undefined;
    }
    if (this.#document?.directives?.yaml.version === '1.1')
      this.#problem(0, [], 'expected YAML 1.2, got a %YAML 1.1 directive');
    this.#findDuplicates();
    if (this.#dollars === 'substituted') this.#substitute();
    const plain = this.#toPlain();
    if (plain === undefined) return undefined;
    this.#separateUserKeys(plain);
    const parsed = settingsSchema.safeParse(plain);
    for (const issue of parsed.error?.issues ?? []) this.#report(issue);
    const parts = partsOf(plain);
    this.#checkServices(parts);
    this.#checkPeers(parts);
    this.#checkPem(parts);
    return parsed.success ? this.#withLogLevel(parsed.data) : undefined;
  }

  #findDuplicates(): void {
    visit(this.#document!, {
      Map: (_key, map) => {
        const seen = new Set<unknown>();
        for (const { key } of map.items) {
          if (!isScalar(key)) continue;
          if (seen.has(key.value))
            this.#problem(key.range?.[0] ?? 0, [], `the key "${String(key.value)}" is there twice`);
          seen.add(key.value);
        }
      },
    });
  }

  /** `$NAME` and `${NAME}` in values; `$$` is a dollar. */
  #substitute(): void {
    visit(this.#document!, {
      Scalar: (key, scalar) => {
        if (key === 'key' || typeof scalar.value !== 'string' || !scalar.value.includes('$'))
          return;
        const { text, unknown } = substituteVariables(scalar.value, this.#env);
        scalar.value = text;
        for (const name of unknown) {
          this.#problem(
            scalar.range?.[0] ?? 0,
            [],
            `the environment has no variable ${name}; write $$ for a dollar sign`,
          );
        }
      },
    });
  }

  #toPlain(): Record<string, unknown> | undefined {
    try {
      return this.#document!.toJS({ maxAliasCount: 100 }) as Record<string, unknown>;
    } catch (thrown) {
      // An alias without its anchor, or aliases that multiply without end.
      this.#problem(0, [], (thrown as Error).message);
      return undefined;
    }
  }

  #separateUserKeys(plain: Record<string, unknown>): void {
    for (const key of Object.keys(plain)) {
      if (KNOWN.includes(key)) continue;
      const reason = Object.hasOwn(pingoraOnly, key) ? pingoraOnly[key] : undefined;
      if (reason !== undefined) {
        this.#warning([key], `has no effect in Sluice: ${reason}`);
        continue;
      }
      // Not by assignment, to which `__proto__` would be more than a name.
      Object.defineProperty(this.user, key, { value: plain[key], enumerable: true });
      const meant = nearest(key, KNOWN);
      if (meant !== undefined)
        this.#warning(
          [key],
          `is not a key of Sluice and was kept for your program; did you mean "${meant}"?`,
        );
    }
  }

  #report(given: z.core.$ZodIssue): void {
    const issue = { ...given, path: this.#asWritten(given.path) };
    switch (issue.code) {
      case 'unrecognized_keys':
        for (const key of issue.keys) this.#unknownKey(issue.path, key);
        return;
      case 'invalid_union':
        return this.#problem(
          this.#offsetOf(issue.path),
          issue.path,
          unionMessage(issue, this.#valueAt(issue.path)),
        );
      case 'invalid_key':
        return this.#problem(
          this.#offsetOf(issue.path),
          issue.path,
          issue.issues[0]?.message ?? issue.message,
        );
      default:
        return this.#problem(this.#offsetOf(issue.path), issue.path, this.#worded(issue));
    }
  }

  /** As the rest of Sluice says it: what was expected, and what was there. */
  #worded(issue: z.core.$ZodIssue): string {
    const value = this.#valueAt(issue.path);
    const got = value === undefined ? 'nothing' : JSON.stringify(value);
    switch (issue.code) {
      case 'invalid_type':
        return `expected ${issue.expected === 'int' ? 'a whole number' : withArticle(issue.expected)}, got ${got}`;
      case 'invalid_value':
        if (issue.message.startsWith('expected')) return issue.message;
        return `expected ${issue.values.map((each) => JSON.stringify(each)).join(' or ')}, got ${got}${suggestion(value, issue.values)}`;
      case 'too_small':
        return `expected at least ${issue.minimum}${countOf(issue.origin, issue.minimum)}, got ${got}`;
      case 'too_big':
        return `expected at most ${issue.maximum}${countOf(issue.origin, issue.maximum)}, got ${got}`;
      default:
        return issue.message;
    }
  }

  #unknownKey(path: Path, key: string): void {
    const meant = nearest(key, keysAt(path));
    const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
    this.#problem(this.#keyOffset(path, key), path, `unknown key "${key}"${hint}`);
  }

  #checkServices({ services, admin, upstreams }: Parts): void {
    const names = new Set<string>();
    const places: Place[] = admin === undefined ? [] : [admin];
    for (const [index, { name, listen, routes }] of services.entries()) {
      if (name !== undefined && names.has(name))
        this.#at(['services', index, 'name'], `the name "${name}" is taken by another service`);
      if (name !== undefined) names.add(name);
      for (const [at, listener] of listen.entries()) {
        if (listener === undefined) continue;
        const taken = places.find((other) => collide(listener.place, other));
        if (taken !== undefined) {
          this.#at(['services', index, 'listen', at], `${showPlace(taken)} is listened on already`);
        }
        places.push(listener.place);
      }
      if (upstreams !== undefined) this.#checkTargets(index, routes, [...upstreams.keys()]);
      this.#warnUnreachable(index, routes);
    }
  }

  #checkTargets(service: number, routes: readonly RouteParts[], known: readonly string[]): void {
    for (const [at, { upstream }] of routes.entries()) {
      if (upstream === undefined || known.includes(upstream)) continue;
      const meant = nearest(upstream, known);
      const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
      const path = ['services', service, 'routes', at, 'upstream'];
      this.#at(path, `there is no upstream "${upstream}"${hint}`);
    }
  }

  #checkPeers({ upstreams = NO_UPSTREAMS }: Parts): void {
    for (const [name, { peers, tls, hasProxy }] of upstreams) {
      const seen = new Set<string>();
      for (const [at, peer] of peers.entries()) {
        if (peer === undefined) continue;
        const path = ['upstreams', name, 'peers', at];
        const address = showPlace(peer);
        if (seen.has(address)) this.#at(path, `${address} is there twice`);
        seen.add(address);
        if (!('path' in peer)) continue;
        for (const [key, isThere] of Object.entries({ tls: tls !== undefined, proxy: hasProxy })) {
          if (!isThere) continue;
          this.#at(path, `"${key}" of the upstream is for peers on TCP, not on Unix sockets`);
        }
      }
    }
  }

  #checkPem({ workingDirectory, caFile, services, upstreams = NO_UPSTREAMS }: Parts): void {
    const pem = new PemFiles(workingDirectory);
    this.pem = pem;
    for (const [index, { listen }] of services.entries()) {
      for (const [at, listener] of listen.entries()) {
        if (listener?.tls === undefined) continue;
        this.#found(['services', index, 'listen', at, 'tls'], pem.checkIdentity(listener.tls));
      }
    }
    for (const [name, { tls }] of upstreams) {
      if (tls === undefined) continue;
      const path = ['upstreams', name, 'tls'];
      const { ca, cert, key, verify } = tls;
      if (ca !== undefined) this.#found(path, pem.checkAuthorities(ca));
      else if (caFile !== undefined && verify !== 'off') {
        for (const { message } of pem.checkAuthorities(caFile)) this.#at(['ca_file'], message);
      }
      if (cert !== undefined && key !== undefined)
        this.#found(path, pem.checkIdentity({ cert, key }));
      if (verify === 'off') {
        this.#warning([...path, 'verify'], 'anybody can pretend to be a peer of this upstream');
      }
    }
  }

  /** @param path of what has the keys that the findings are about */
  #found(path: Path, findings: readonly Finding[]): void {
    for (const { of, severity, message } of findings) {
      if (severity === 'problem') this.#at([...path, of], message);
      else this.#warning([...path, of], message);
    }
  }

  #warnUnreachable(service: number, routes: readonly RouteParts[]): void {
    const last = routes.findIndex(({ matchesAll }) => matchesAll);
    if (last < 0 || last === routes.length - 1) return;
    this.#warning(
      ['services', service, 'routes', last + 1],
      'can never be reached: the route before it matches everything',
    );
  }

  #withLogLevel(settings: Settings): Settings | undefined {
    const level = this.#env['SLUICE_LOG'];
    if (level === undefined || level === '') return settings;
    const log = settingsSchema.shape.log.safeParse({ level });
    if (log.success) return { ...settings, log: log.data };
    const message = `environment variable SLUICE_LOG: expected trace, debug, info, warn or error, got ${JSON.stringify(level)}`;
    this.problems.push({ file: this.#file, line: 1, column: 1, path: '', message });
    return undefined;
  }

  // ── places ────────────────────────────────────────────────────────────────

  #at(path: Path, message: string): void {
    this.#problem(this.#offsetOf(path), path, message);
  }

  #warning(path: Path, message: string): void {
    this.warnings.push(
      this.#place(this.#keyOffset(path.slice(0, -1), path.at(-1)!), path, message),
    );
  }

  #problem(offset: number, path: Path, message: string): void {
    this.problems.push(this.#place(offset, path, message));
  }

  #place(offset: number, path: Path, message: string): Problem {
    const { line, col } = this.#lines.linePos(offset);
    return {
      file: this.#file,
      line: Math.max(1, line),
      column: Math.max(1, col),
      path: shownPath(path),
      message,
    };
  }

  /** Where the value is; where its nearest ancestor is, if it is not there. */
  #offsetOf(path: Path): number {
    for (let length = path.length; length > 0; length--) {
      const node = this.#document!.getIn(path.slice(0, length) as unknown[], true);
      if (isNode(node) && node.range) return node.range[0];
    }
    return 0;
  }

  #keyOffset(path: Path, key: PropertyKey): number {
    const parent =
      path.length === 0 ? this.#document!.contents : this.#document!.getIn(path as unknown[], true);
    if (isMap(parent)) {
      for (const pair of parent.items) {
        if (isPair(pair) && isScalar(pair.key) && String(pair.key.value) === String(key))
          return pair.key.range?.[0] ?? 0;
      }
    }
    return isSeq(parent) ? this.#offsetOf([...path, key]) : this.#offsetOf(path);
  }

  /** A text may stand for a mapping; then what is wrong with an entry of that is wrong with the text. */
  #asWritten(path: PropertyKey[]): PropertyKey[] {
    const at = path.findIndex((_part, length) =>
      isScalar(this.#document!.getIn(path.slice(0, length), true)),
    );
    return at < 0 ? path : path.slice(0, at);
  }

  #valueAt(path: Path): unknown {
    const value = this.#document!.getIn(path as unknown[]);
    return isNode(value) ? value.toJS(this.#document!) : value;
  }
}

function shownPath(path: Path): string {
  return path
    .map((part, at) =>
      typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`,
    )
    .join('');
}

function withArticle(kind: string): string {
  const words: Readonly<Record<string, string>> = {
    object: 'a mapping',
    record: 'a mapping',
    array: 'a list',
    string: 'text',
    number: 'a number',
    boolean: 'true or false',
  };
  return words[kind] ?? kind;
}

function countOf(origin: string, limit: number | bigint): string {
  const one = limit === 1;
  if (origin === 'array') return one ? ' entry' : ' entries';
  if (origin === 'string') return one ? ' character' : ' characters';
  return '';
}

function suggestion(value: unknown, known: readonly unknown[]): string {
  const meant = nearest(String(value), known.map(String));
  return meant === undefined || meant === value ? '' : `; did you mean "${meant}"?`;
}

function unionMessage(issue: z.core.$ZodIssueInvalidUnion, value: unknown): string {
  if (issue.discriminator === undefined) return issue.message;
  const got = value === undefined ? 'nothing' : JSON.stringify(value);
  const options = 'options' in issue ? (issue.options ?? []) : [];
  const known = options.map((each) => JSON.stringify(each)).join(' or ');
  return `expected ${known}, got ${got}`;
}

/** Keys that are allowed at a place, for suggestions: asked of the schema itself. */
function keysAt(path: Path): string[] {
  let schema: unknown = settingsSchema;
  for (const part of path) schema = stepInto(unwrap(schema), part);
  const inner = unwrap(schema) as { shape?: Record<string, unknown>; options?: unknown[] };
  if (inner.shape !== undefined) return Object.keys(inner.shape);
  return (inner.options ?? []).flatMap((option) =>
    Object.keys((unwrap(option) as { shape?: object }).shape ?? {}),
  );
}

interface Definition {
  readonly def?: {
    readonly innerType?: unknown;
    readonly type?: string;
    readonly in?: unknown;
    readonly out?: unknown;
    readonly element?: unknown;
    readonly valueType?: unknown;
  };
  readonly shape?: Readonly<Record<string, unknown>>;
}

/** Through defaults, optionals and transforms to what they wrap. */
function unwrap(schema: unknown): unknown {
  const definition = (schema as Definition | undefined)?.def;
  const before = definition?.in as Definition | undefined;
  // What stands before the schema only rewrites what was given.
  const inner =
    definition?.innerType ?? (before?.def?.type === 'transform' ? definition?.out : before);
  return inner === undefined ? schema : unwrap(inner);
}

function stepInto(schema: unknown, part: PropertyKey): unknown {
  const { def, shape } = (schema ?? {}) as Definition;
  return typeof part === 'number' ? def?.element : (shape?.[String(part)] ?? def?.valueType);
}
