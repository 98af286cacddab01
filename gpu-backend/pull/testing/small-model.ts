/** A "model" of a few kilobytes, and the wheel that holds it. */
import { createHash } from 'node:crypto';
import type { KnownModel } from '../known-models.ts';
import { writeZip } from './write-zip.ts';

export const NAME = 'small';
export const GGUF = Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * i + (i >> 8)) % 251));
const MEMBER = 'plimsoll_small/small.gguf';
const METADATA = 'Metadata-Version: 2.1\nName: plimsoll-small\nVersion: 1.0\n';
const WHEEL_FILE = 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n';

/** Such a wheel with other bytes as its model. */
export const wheelWith = (gguf: Buffer) =>
  writeZip({
    [MEMBER]: gguf,
    'plimsoll_small-1.0.dist-info/METADATA': Buffer.from(METADATA),
    'plimsoll_small-1.0.dist-info/WHEEL': Buffer.from(WHEEL_FILE),
    'plimsoll_small-1.0.dist-info/RECORD': Buffer.from(''),
  });
export const WHEEL = wheelWith(GGUF);
export const WHEEL_NAME = 'plimsoll_small-1.0-py3-none-any.whl';

export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

export const SMALL: KnownModel = {
  what: 'a test',
  licence: 'Apache-2.0',
  file: { name: 'small.gguf', bytes: GGUF.length, sha256: sha256(GGUF) },
  wheel: {
    package: 'plimsoll-small',
    version: '1.0',
    bytes: WHEEL.length,
    sha256: sha256(WHEEL),
    member: MEMBER,
  },
  hub: null,
};
