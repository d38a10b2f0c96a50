/** An address that is listened on. */
import * as z from 'zod';
import { fileMode, filePath, listenPlace } from '../kinds.ts';
import { DEFAULT_UNIX_MODE, type Place } from '../../ipc/place.ts';
import type { IdentityFiles } from '../../tls/pem-files.ts';

export const listener = z
  .preprocess(
    (given) => (typeof given === 'string' ? { address: given } : given),
    z.strictObject({
      address: listenPlace.describe(
        '`127.0.0.1:6188`, `[::1]:6188`, or `unix:/run/sluice.sock`; a value that is only an address may stand for the mapping.',
      ),
      tls: z
        .strictObject({
          cert: filePath.describe('PEM file of the certificate, followed by its chain.'),
          key: filePath.describe(
            'PEM file of its private key. Keep it from other users: mode 0600.',
          ),
        })
        .optional()
        .describe('Serves TLS 1.3 and 1.2.'),
      mode: fileMode
        .optional()
        .describe(
          'Permissions of a Unix socket, in quotes: who may write may connect. Default: `"0660"`.',
        ),
    }),
  )
  .superRefine(({ address, tls, mode }, context) => {
    const isUnix = 'path' in address;
    if (isUnix && tls !== undefined) {
      const message = 'is for TCP addresses: a Unix socket does not leave the machine';
      context.addIssue({ code: 'custom', path: ['tls'], message });
    }
    if (!isUnix && mode !== undefined) {
      context.addIssue({ code: 'custom', path: ['mode'], message: 'is for Unix sockets' });
    }
  })
  .transform(({ address, tls, mode }): ListenSettings => ({
    place: 'path' in address ? { ...address, mode: mode ?? DEFAULT_UNIX_MODE } : address,
    ...(tls && { tls }),
  }));

export interface ListenSettings {
  readonly place: Place;
  readonly tls?: IdentityFiles;
}
