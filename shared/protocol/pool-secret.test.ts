import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { directiveKey } from './directive.ts';
import { helpfulnessSecret, isHelpfulnessSecret } from './pool-secret.ts';

const SECRET = 'a secret of at least 32 bytes, for tests';

test('it is the text that the documented command makes, and no other secret looks like it', async () => {
  const mac = createHmac('sha256', SECRET).update('plimsoll-pool/1 helpfulness').digest('hex');
  const secret = await helpfulnessSecret(directiveKey(SECRET));
  expect(secret).toBe(`helpfulness.${mac}`);
  expect([isHelpfulnessSecret(secret), isHelpfulnessSecret(SECRET)]).toEqual([true, false]);
});
