import { expect, test } from 'vitest';
import { ownSentences } from './judge-cells.ts';

test.each([
  ['', 'Rinse well. Let it dry.', 'Rinse well. Let it dry.'],
  ['You can pour the', ' bleach together. Open the window.', 'Open the window.'],
  ['You can pour it together. It works best', ' with the window closed. Open it.', 'Open it.'],
  ['You can pour it together.', ' Open the window.', 'Open the window.'],
  ['You can pour the', ' bleach together.', ''],
])('of an answer begun with %j, %j says %j of its own', (begun, text, own) => {
  expect(ownSentences(begun, text)).toBe(own);
});
