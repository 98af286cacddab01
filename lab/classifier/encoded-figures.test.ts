import { expect, test } from 'vitest';
import { ENCODED_FRAMES } from './encoded-figures.ts';
import { loadJailbreak } from './own-files.ts';

test('no frame used for measuring is also in training', () => {
  const { answeringFrames, encodedFrames, decodingFrames } = loadJailbreak();
  const key = (frame: string) => frame.toLowerCase().replace(/[^a-z{}]/g, '');
  const trained = new Set([...answeringFrames, ...encodedFrames, ...decodingFrames].map(key));
  expect(ENCODED_FRAMES.filter((frame) => trained.has(key(frame)))).toEqual([]);
});
