/**
 * The checked configuration, as the schema makes it: plain data that crosses to
 * the workers as JSON. Durations are in milliseconds, sizes in bytes.
 */
import type * as z from 'zod';
import type { settingsSchema } from './schema/settings.ts';

export type Settings = z.output<typeof settingsSchema>;
export type ServiceSettings = Settings['services'][number];
export type RouteSettings = ServiceSettings['routes'][number];
export type RateLimitSettings = NonNullable<RouteSettings['rate_limit']>;
export type UpstreamSettings = Settings['upstreams'][string];
