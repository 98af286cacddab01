/**
 * What the log says about a request that was not answered: one short line, because under load there
 * are hundreds of them, and the cause only if the fault is ours.
 */
import { ERROR_CODES, type PlimsollError } from '#shared/api/errors.ts';
import type { Log } from './log.ts';

const LONGEST = 300;

export function logFailure(log: Log, where: string, { code, message, cause }: PlimsollError): void {
  const line = oneLine(`${where}: ${code}: ${message}`);
  const { log: detail, status } = ERROR_CODES[code];
  const level = detail === 'warning' ? 'warn' : status < 500 ? 'info' : 'error';
  const isOurs = detail === 'cause' || detail === 'stack';
  log(line, isOurs ? cause : undefined, { event: 'request-failed', level, code });
}

/**
 * A message may repeat what a client sent, so it must not be able to pass for log lines of our own.
 */
function oneLine(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
  return plain.length > LONGEST ? `${plain.slice(0, LONGEST)} ...` : plain;
}
