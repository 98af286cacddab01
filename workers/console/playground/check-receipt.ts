/** The check of `npx plimsoll receipt verify`, in a browser: jose signs and checks by WebCrypto. */
import type { JSONWebKeySet } from 'jose';
import { type Inspection, inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import { callJson } from '../net/api.ts';

export async function checkReceipt({
  token,
  first,
  sent,
  text,
}: {
  token: string;
  /** The receipt of the first request, if the answer was made for another one. */
  first: string | null;
  /** The request's JSON. */
  sent: string;
  /** The answer's text. */
  text: string;
}): Promise<Inspection> {
  const jwks = await callJson<JSONWebKeySet>('/.well-known/jwks.json');
  return inspectReceipt(token, { jwks, prompt: sent, answer: text, ...(first !== null && { first }) });
}
