// An application that uses ldapts.
import { readFileSync } from 'node:fs';
import { argv, env } from 'node:process';

import { Attribute, Change, Client, ResultCodeError } from 'ldapts';

const PASSWORD_MODIFY = '1.3.6.1.4.1.4203.1.11.1';
const WHO_AM_I = '1.3.6.1.4.1.4203.1.11.3';
const { LAB_BASE: base, LAB_DN: dn, LAB_OTHER_DN: otherDn, LAB_PASSWORD: password } = env;

async function connect() {
  const tls = { ca: [readFileSync(env.LAB_CA)] };
  const secure = env.LAB_URI.startsWith('ldaps:');
  const client = new Client({ url: env.LAB_URI, timeout: 30000, ...(secure && { tlsOptions: tls }) });
  if (env.LAB_START_TLS === 'yes') {
    await client.startTLS(tls);
  }
  return client;
}

/** Calls the library and writes how the server answered. */
async function attempt(what, action) {
  try {
    const answer = await action();
    console.log(what, 0);
    return answer;
  } catch (error) {
    if (!(error instanceof ResultCodeError)) {
      throw error;
    }
    console.log(what, error.code, error.message);
    return undefined;
  }
}

async function login(secret) {
  const client = await connect();
  await attempt('login', () => client.bind(dn, secret));
  return client;
}

async function loginAndLeave(secret) {
  const client = await login(secret);
  await client.unbind();
}

async function searchInPages(client) {
  let pages = 0;
  let entries = 0;
  const options = { scope: 'sub', filter: '(uid=*)', attributes: ['cn', 'mail'], paged: { pageSize: 50 } };
  for await (const page of client.searchPaginated(base, options)) {
    pages += 1;
    for (const entry of page.searchEntries) {
      entries += 1;
      console.log(entry.dn, entry.cn, entry.mail);
    }
  }
  console.log('pages', pages, 'entries', entries);
}

function telephone(operation, values) {
  return new Change({ operation, modification: new Attribute({ type: 'telephoneNumber', values }) });
}

async function change(client) {
  const number = '+1 555 0104';
  await attempt('change', () => client.modify(dn, telephone('replace', [number])));
  const { searchEntries } = await client.search(dn, { scope: 'base', attributes: ['telephoneNumber'] });
  console.log('read', searchEntries[0].telephoneNumber);
  console.log('compare', await client.compare(dn, 'telephoneNumber', number));
  await attempt('change back', () => client.modify(dn, telephone('delete', [])));
  await attempt('change other', () => client.modify(otherDn, telephone('replace', [number])));
  await attempt('missing', () => client.search(`ou=nowhere,${base}`, { scope: 'base' }));
}

/** PasswdModifyRequestValue of RFC 3062, section 2; every length is below 128. */
function passwordChange(old, fresh) {
  const field = (tag, text) => Buffer.concat([Buffer.from([tag, Buffer.byteLength(text)]), Buffer.from(text)]);
  const fields = Buffer.concat([field(0x80, dn), field(0x81, old), field(0x82, fresh)]);
  return Buffer.concat([Buffer.from([0x30, 0x81, fields.length]), fields]);
}

async function changePassword(client, old, fresh) {
  const exop = (from, to) => () => client.exop(PASSWORD_MODIFY, passwordChange(from, to));
  await attempt('change password wrongly', exop(`not ${old}`, fresh));
  await attempt('change password', exop(old, fresh));
  await loginAndLeave(old);
  await loginAndLeave(fresh);
  await attempt('change password back', exop(fresh, old));
  await loginAndLeave(old);
}

const client = await login(password);
if (argv[2] === 'tour') {
  console.log('whoami', (await client.exop(WHO_AM_I)).value);
  await loginAndLeave(`not ${password}`);
  await searchInPages(client);
  await change(client);
  await changePassword(client, password, `${password} 2, schön`);
}
await client.unbind();
