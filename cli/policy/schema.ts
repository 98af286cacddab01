/** `plimsoll policy schema`: the language, for editors and for people. */
import { Command } from 'commander';
import { fieldTable } from '#policies/field-table.ts';
import { policyJsonSchema } from '#policies/json-schema.ts';

export const schema = () =>
  new Command('schema')
    .description('print the JSON Schema of policies, which editors check files against')
    .option('--part', 'that of the operator, a plan or a key, in which every field is optional', false)
    .option('--table', 'print the fields as a table in Markdown instead', false)
    .action(({ part, table }: { part: boolean; table: boolean }) => {
      if (part && table) throw new Error('--part and --table: give one of the two; the fields are the same');
      console.log(table ? fieldTable() : JSON.stringify(policyJsonSchema(part ? 'part' : 'policy'), null, 2));
    });
