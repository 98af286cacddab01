/** `plimsoll receipt`: checks what an edge or a backend has signed. */
import { Command } from 'commander';
import { verify } from './receipt/verify.ts';

export function receiptCommand(): Command {
  return new Command('receipt').description('check receipts, offline').addCommand(verify());
}
