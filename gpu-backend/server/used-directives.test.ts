import { expect, test } from 'vitest';
import { DIRECTIVE_TTL_SECONDS } from '#shared/protocol/directive.ts';
import { createUsedDirectives } from './used-directives.ts';

test('accepts an id only once for as long as its directive can live, and then forgets it', () => {
  let nowMs = 1_000_500;
  const used = createUsedDirectives({ now: () => nowMs });
  used.take('a');
  used.take('b');
  expect(() => used.take('a')).toThrow(expect.objectContaining({ code: 'directive_invalid' }));
  nowMs += DIRECTIVE_TTL_SECONDS * 1000;
  expect(() => used.take('a')).toThrow(expect.objectContaining({ code: 'directive_invalid' }));
  nowMs += 1_000;
  expect(() => used.take('a')).not.toThrow();
  expect(() => used.take('b')).not.toThrow();
});
