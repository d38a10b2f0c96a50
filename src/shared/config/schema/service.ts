/** Addresses and routes that belong together. */
import * as z from 'zod';
import { connectionSchema } from './connection.ts';
import { listener } from './listener.ts';
import { route } from './route.ts';

export const service = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9_-]{1,64}$/, { error: 'expected up to 64 of a-z, 0-9, "_" and "-"' })
    .optional()
    .describe('In logs and metrics. Default: `service-1`, by position.'),
  listen: z.array(listener).min(1).describe('Where clients connect to.'),
  ...connectionSchema.shape,
  routes: z
    .array(route)
    .min(1)
    .describe('The first that matches takes the request; if none does, it is a 404.'),
});
