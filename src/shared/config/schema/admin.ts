/** The pages for operators. */
import * as z from 'zod';
import { listenPlace } from '../kinds.ts';
import { DEFAULT_UNIX_MODE, type Place } from '../../ipc/place.ts';

export const admin = z
  .strictObject({
    listen: listenPlace
      .describe(
        'Address of the pages: `127.0.0.1:9180`, `[::1]:9180`, or `unix:/run/sluice/admin.sock`, whose file is for the owner and the group that Sluice runs as.',
      )
      .transform((place): Place =>
        'path' in place ? { ...place, mode: DEFAULT_UNIX_MODE } : place,
      ),
    token: z
      .string()
      .regex(/^[\x21-\x7e]{16,512}$/, {
        error:
          'expected 16 to 512 visible characters; take them from the environment: $ADMIN_TOKEN',
      })
      .optional()
      .describe(
        'What a request must show as `Authorization: Bearer`, except for `/healthz` and `/readyz`. Required where other machines can reach the address.',
      ),
  })
  .refine(({ listen, token: secret }) => secret !== undefined || isPrivate(listen), {
    error: 'expected "token": other machines can reach this address',
    path: ['listen'],
  });

/** What other machines cannot reach. */
function isPrivate(place: Place): boolean {
  return 'path' in place || place.host === 'localhost' || /^127\.|^::1$/.test(place.host);
}
