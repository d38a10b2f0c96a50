/**
 * The parts of a configuration that other parts refer to or collide with, each
 * read by itself: a file is looked at as a whole even where some of it is wrong,
 * so that all that is wrong is told at once.
 */
import type * as z from 'zod';
import type { Place } from '../ipc/place.ts';
import { admin } from './schema/admin.ts';
import { listener, type ListenSettings } from './schema/listener.ts';
import { peer, upstreamTls } from './schema/upstream.ts';

/** A mapping as YAML has read it. */
export type Plain = Readonly<Record<string, unknown>>;

/** `undefined` stands for what is not there, and for what is wrong: the schema has told of that. */
export interface Parts {
  readonly workingDirectory: string | undefined;
  readonly caFile: string | undefined;
  readonly admin: Place | undefined;
  readonly services: readonly ServiceParts[];
  readonly upstreams: ReadonlyMap<string, UpstreamParts> | undefined;
}

export interface ServiceParts {
  readonly name: string | undefined;
  readonly listen: readonly (ListenSettings | undefined)[];
  readonly routes: readonly RouteParts[];
}

export interface RouteParts {
  readonly upstream: string | undefined;
  readonly matchesAll: boolean;
}

export interface UpstreamParts {
  readonly peers: readonly (z.output<typeof peer> | undefined)[];
  readonly tls: z.output<typeof upstreamTls> | undefined;
  readonly hasProxy: boolean;
}

/** @param plain the whole file */
export function partsOf(plain: Plain): Parts {
  return {
    workingDirectory: textOf(plain['working_directory']),
    caFile: textOf(plain['ca_file']),
    admin: read(admin, plain['admin'])?.listen,
    services: listOf(plain['services']).map((service, index) => servicePartsOf(service, index)),
    upstreams: upstreamsOf(plain['upstreams'] ?? {}),
  };
}

function servicePartsOf(given: unknown, index: number): ServiceParts {
  const { name, listen, routes } = mappingOf(given) ?? {};
  return {
    name: name === undefined ? `service-${index + 1}` : textOf(name),
    listen: listOf(listen).map((each) => read(listener, each)),
    routes: listOf(routes).map((route) => {
      const { upstream, match } = mappingOf(route) ?? {};
      return { upstream: textOf(upstream), matchesAll: isEmpty(match) };
    }),
  };
}

function upstreamsOf(given: unknown): Map<string, UpstreamParts> | undefined {
  const upstreams = mappingOf(given);
  if (upstreams === undefined) return undefined;
  const parts = Object.entries(upstreams).map(([name, upstream]) => {
    const { peers, tls, proxy } = mappingOf(upstream) ?? {};
    const known = listOf(peers).map((each) => read(peer, each));
    const hasProxy = proxy !== undefined;
    return [name, { peers: known, tls: read(upstreamTls, tls), hasProxy }] as const;
  });
  return new Map(parts);
}

function read<S extends z.ZodType>(schema: S, value: unknown): z.output<S> | undefined {
  return schema.safeParse(value).data;
}

function mappingOf(value: unknown): Plain | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Plain)
    : undefined;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function isEmpty(match: unknown): boolean {
  if (match === undefined) return true;
  const conditions = mappingOf(match);
  return conditions !== undefined && Object.keys(conditions).length === 0;
}
