// Steps with the official TypeScript client, unmodified: a JSON list of them on stdin, what each found on stdout.
//
// Key and base URL are in the environment, where the client looks for them itself.

import { readFileSync } from 'node:fs';
import Turbopuffer from '@turbopuffer/turbopuffer';

const PAGE = 1000;

const clients = {};
const client = (region) => (clients[region] ??= new Turbopuffer({ region }));

async function list(region) {
  const names = [];
  for await (const found of client(region).namespaces({ page_size: 100 })) names.push(found.id);
  return names;
}

async function read(namespace) {
  const rows = [];
  for (;;) {
    const page = await namespace.query({
      rank_by: ['id', 'asc'],
      limit: PAGE,
      include_attributes: true,
      vector_encoding: 'base64',
      ...(rows.length ? { filters: ['id', 'Gt', rows.at(-1).id] } : {}),
    });
    rows.push(...page.rows);
    if (page.rows.length < PAGE) return rows;
  }
}

async function take({ step, region, name, params }) {
  const namespace = client(region).namespace(name ?? 'none');
  switch (step) {
    case 'list':
      return list(region);
    case 'read':
      return read(namespace);
    case 'write':
      return namespace.write(params);
    case 'metadata':
      return namespace.metadata();
    case 'branch':
      return namespace.branchFrom(params);
    case 'copy':
      return namespace.copyFrom(params);
    case 'delete':
      return namespace.deleteAll();
    default:
      throw new Error(`no step ${step}`);
  }
}

const found = [];
for (const step of JSON.parse(readFileSync(0, 'utf8'))) {
  try {
    found.push(await take(step));
  } catch (error) {
    found.push({ error: error.constructor.name, status: error.status, message: error.message });
  }
}
process.stdout.write(JSON.stringify(found));
