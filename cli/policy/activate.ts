/** `plimsoll policy activate`: makes a stored version the active one, or a canary. */
import { InvalidArgumentError } from 'commander';
import { number } from '../options/numbers.ts';
import { type ChangeFlags, changesTenant, edgeOf, goodAnswer, ifMatch, tenantOf, versionOf } from './running-edge.ts';
import { stateOf } from './tenant-state.ts';

type Flags = ChangeFlags & { share: number };

export const activate = () =>
  changesTenant('activate')
    .description(
      'make a stored version the active one, or a canary for a share of the prompts; its own tests must pass',
    )
    .argument('<version>', 'a version that was pushed, or the file that it was pushed from')
    .option('--share <x>', 'the share of the prompts that get it, above 0; 1: all of them', canaryShare, 1)
    .action(async (given: string, { share, ...flags }: Flags) => {
      const { version, file } = await versionOf(given);
      const id = tenantOf(flags, file);
      const edge = edgeOf(flags);
      const answer = await edge.admin.tenants[':id'].policies[':version'].activate.$post(
        { param: { id, version }, json: { share } },
        await ifMatch(flags, { edge, id }),
      );
      const tenant = await goodAnswer(answer, edge).catch((refused: Error) => {
        if (file === undefined || !refused.message.includes('(not_found, version)')) throw refused;
        throw new Error(`${file}: ${id} has no version ${version}; store it first: plimsoll policy push ${file}`);
      });
      console.log(stateOf(tenant));
    });

function canaryShare(text: string): number {
  const value = number(text);
  if (value > 0 && value <= 1) return value;
  throw new InvalidArgumentError('wanted a share above 0, up to 1.');
}
