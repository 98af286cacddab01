import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSafetensors } from './open-safetensors.ts';
import { openShardedSafetensors } from './open-sharded-safetensors.ts';
import { mutatedBytes, readAnything } from './testing/fuzz-reader.ts';
import { encodeSafetensors, safetensorsBytes } from './testing/make-safetensors.ts';
import { CONTRACT_TENSORS } from './testing/tensor-source-contract.ts';

let dir: string;
let path: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'safetensors-fuzz-'));
  path = join(dir, 'model.safetensors');
});
afterAll(() => rm(dir, { recursive: true }));

async function readBytes(bytes: Uint8Array): Promise<boolean> {
  await writeFile(path, bytes);
  return readAnything(() => openSafetensors(path), bytes.length);
}

test('reads random bytes or refuses them', async () => {
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), async (bytes) => void (await readBytes(bytes))));
});

test('reads a changed file or refuses it', async () => {
  const sound = encodeSafetensors(CONTRACT_TENSORS, 'BF16');
  expect(await readBytes(sound)).toBe(true);
  await fc.assert(
    fc.asyncProperty(mutatedBytes(sound), async (bytes) => void (await readBytes(bytes))),
    { numRuns: 300 },
  );
});

test('reads a header that claims anything, or refuses it', async () => {
  const number = fc.oneof(fc.nat({ max: 40 }), fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 53, 1e300, '4', null));
  const entry = fc.record({
    dtype: fc.constantFrom('F32', 'F16', 'BF16', 'I8', 'F4', 'F32 ', '', '__proto__'),
    shape: fc.array(number, { maxLength: 3 }),
    data_offsets: fc.array(number, { minLength: 1, maxLength: 3 }),
  });
  const name = fc.constantFrom('v', 'w', '', '__proto__', '__metadata__');
  const header = fc.oneof(
    fc.dictionary(name, fc.oneof({ weight: 5, arbitrary: entry }, fc.jsonValue())),
    fc.jsonValue(),
  );
  await fc.assert(
    fc.asyncProperty(header, fc.nat({ max: 80 }), async (claims, dataBytes) => {
      await readBytes(safetensorsBytes(claims, Buffer.alloc(dataBytes)));
    }),
    { numRuns: 300 },
  );
});

test('reads a changed index or refuses it', async () => {
  const sound = encodeSafetensors(CONTRACT_TENSORS, 'BF16');
  await writeFile(join(dir, 'a.safetensors'), sound);
  const map = Object.fromEntries([...CONTRACT_TENSORS.keys()].map((name) => [name, 'a.safetensors']));
  const index = Buffer.from(JSON.stringify({ metadata: { total_size: 576 }, weight_map: map }));
  const read = async (bytes: Uint8Array) => {
    await writeFile(join(dir, 'index.json'), bytes);
    return readAnything(() => openShardedSafetensors(join(dir, 'index.json')), sound.length);
  };
  expect(await read(index)).toBe(true);
  await fc.assert(
    fc.asyncProperty(mutatedBytes(index), async (bytes) => void (await read(bytes))),
    { numRuns: 300 },
  );
});
