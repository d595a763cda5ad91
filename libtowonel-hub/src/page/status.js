// SPDX-License-Identifier: MIT
//
// What the hub says is up, asked for again every few seconds. On the health listener nobody is asked
// for a key; on the hub's API the operator's key is, which is kept in one variable and goes nowhere
// but into the Authorization of requests to the hub that the page came from.
//
// All that is shown is text: names come from tenants, reasons from anywhere.
"use strict";
(() => {
  const POLL_MS = 3000;
  const INVITES_EVERY = 10; // polls
  const PAGE = 500;
  const ROWS = 25; // shown at first
  const PROBLEMS = 12;
  const NAMES = 4; // of one invite
  // A certificate that expires so soon should have been renewed; when renewing it fails, sooner.
  const SOON_MS = 86400e3;
  const SOON_FAILING_MS = 14 * 86400e3;

  const keyless = location.pathname.endsWith("/status");
  const source = keyless ? "status.json" : "v1/status";

  const $ = (id) => document.getElementById(id);
  let key = "";
  let seen = null; // what the hub said last, and when
  let failure = null; // why it says nothing now
  let invites = [];
  let edgeInvites = [];
  let known = null; // problems that were told, {key: sentence}
  let timer = 0;
  let rounds = 0;
  let allProblems = false;
  const counted = new Map(); // edge: its last two counts of traffic

  // --- the hub ---

  class Refusal extends Error {
    constructor(status, message) {
      super(message);
      this.status = status;
    }
  }

  async function ask(method, path, body) {
    const headers = keyless ? {} : { Authorization: `Bearer ${key}` };
    if (body)
      headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(path, {
        method, headers, body: body && JSON.stringify(body), cache: "no-store", credentials: "omit", redirect: "error",
        signal: AbortSignal.timeout(15000),
      });
    } catch (error) {
      throw new Refusal(0, error.name === "TimeoutError" ? "no answer in time" : "it cannot be reached");
    }
    const json = await answer.json().catch(() => null);
    if (!answer.ok || !json)
      throw new Refusal(answer.status, json?.error?.message ?? `status ${answer.status}`);
    return { json, total: Number(answer.headers.get("X-Total-Count") ?? 0) };
  }

  // Every page of a list; add takes one and says how many of total are there now.
  async function pages(path, add) {
    for (let have = 0; ;) {
      const { json, total } = await ask("GET", `${path}?limit=${PAGE}&offset=${have}`);
      const now = add(json);
      if (now >= total || now === have)
        return;
      have = now;
    }
  }

  function addCounts(to, from) {
    for (const [name, count] of Object.entries(from))
      to[name] = (to[name] ?? 0) + count;
  }

  async function look() {
    let whole = null;
    await pages(source, (page) => {
      if (!whole) {
        whole = page;
      } else if (page.summary) {
        whole.summary.tenants += page.summary.tenants;
        addCounts(whole.summary.agents, page.summary.agents);
        addCounts(whole.summary.services, page.summary.services);
      } else {
        whole.tenants.push(...page.tenants);
      }
      return whole.summary ? whole.summary.tenants : whole.tenants.length;
    });
    return whole;
  }

  async function list(path) {
    const all = [];
    await pages(path, (page) => all.push(...page.invites));
    return all.filter((invite) => invite.status !== "revoked");
  }

  async function lookAtInvites() {
    [invites, edgeInvites] = await Promise.all([list("v1/invites"), list("v1/edge-invites")]);
  }

  // --- words and numbers ---

  const NONE = "\u2013";
  const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
  const byName = new Intl.Collator("en", { numeric: true }).compare;

  function age(ms) {
    if (ms === null || ms === undefined)
      return NONE;
    const seconds = Math.max(0, Math.floor(ms / 1000));
    if (seconds < 120)
      return `${seconds} s`;
    return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
  }

  function bytes(count) {
    const units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let unit = 0;
    for (; count >= 999.5 && unit < units.length - 1; unit++)
      count /= 1000;
    return `${unit > 0 && count < 9.95 ? count.toFixed(1) : count.toFixed(0)} ${units[unit]}`;
  }

  const perSecond = (rate) => (rate === null ? NONE : `${bytes(rate)}/s`);
  const number = (count) => count.toLocaleString("en");

  const few = (names) => (names.length <= NAMES ? names : [...names.slice(0, NAMES - 1), `and ${names.length - NAMES + 1} more`])
    .join(", ");

  function day(ms) {
    return ms ? new Date(ms).toISOString().slice(0, 16).replace("T", " ") : NONE;
  }

  // --- traffic ---

  function count(edges) {
    for (const edge of edges) {
      const [, last] = counted.get(edge.node_id) ?? [];
      if (edge.traffic && edge.traffic.at_ms !== last?.at_ms)
        counted.set(edge.node_id, [last, edge.traffic]);
    }
  }

  // Bytes a second between the last two counts; null when it is not known (yet).
  function rate(edge, direction) {
    const [before, after] = counted.get(edge.node_id) ?? [];
    const grown = before ? after[direction] - before[direction] : -1;
    const passed = before ? after.at_ms - before.at_ms : 0;
    return edge.live && grown >= 0 && passed > 0 ? (grown * 1000) / passed : null;
  }

  function rates(edges, direction) {
    const rated = edges.map((edge) => rate(edge, direction)).filter((one) => one !== null);
    return rated.length ? rated.reduce((sum, one) => sum + one, 0) : null;
  }

  const sum = (edges, name) => edges.reduce((total, edge) => total + (edge.live && edge.traffic ? edge.traffic[name] : 0), 0);

  // --- what is shown, as lists ---

  const sizeOf = (value) => (Array.isArray(value) ? value.length : value ?? 0);

  function servicesOf(status) {
    return (status.tenants ?? []).flatMap((tenant) => tenant.services.map((service) => ({
      ...service, tenant: tenant.name, key: `${tenant.tenant_id} ${service.service} ${service.state === "refused"}`,
    })));
  }

  function agentsOf(status) {
    return (status.tenants ?? []).flatMap((tenant) => tenant.agents.map((agent) => ({
      ...agent, tenant: tenant.name, key: agent.agent_id,
    })));
  }

  function certificatesOf(status) {
    return status.edges.flatMap((edge) => (Array.isArray(edge.certificates) ? edge.certificates : []).map((one) => ({
      ...one, edge: edge.name, key: `${edge.node_id} ${one.name}`, soon: expiresSoon(one, status.hub.time_ms),
    })));
  }

  function expiresSoon(certificate, now) {
    return ["served", "renewing"].includes(certificate.state) &&
      certificate.not_after_ms - now < (certificate.last_error ? SOON_FAILING_MS : SOON_MS);
  }

  const isBadCertificate = (one) => one.state === "failed" || one.state === "expired" || one.soon;

  // --- problems: what is not up, and why, in the words of `towonel status` ---

  function serviceProblems(services) {
    const groups = new Map();
    const down = services.filter((one) => one.state !== "up").sort((a, b) => byName(a.service, b.service));
    for (const service of down) {
      const group = JSON.stringify([service.tenant, service.state, service.why]);
      groups.set(group, [...(groups.get(group) ?? []), service]);
    }
    return [...groups].flatMap(([group, members]) => {
      if (members.length <= 3)
        return members.map((one) => ({ key: one.key, what: one.service, of: one.tenant, state: one.state, why: one.why }));
      const names = members.slice(0, 3).map((one) => one.service).join(", ");
      const [{ tenant, state, why }] = members;
      return [{ key: group, what: plural(members.length, "service"), of: tenant, state,
                why: `${why} (${names} and ${members.length - 3} more)` }];
    });
  }

  function summaryProblems({ summary, edges }) {
    const services = Object.entries(summary.services).filter(([state]) => state !== "up");
    const ports = edges.filter((edge) => edge.failed_ports > 0);
    const states = {};
    for (const edge of edges)
      addCounts(states, edge.certificates);
    const certificates = Object.entries(states).filter(([state]) => state === "failed" || state === "expired");
    return [
      ...services.map(([state, many]) => ({ key: state, what: plural(many, "service"), state, why: "" })),
      ...ports.map((edge) => ({ key: edge.node_id, what: `edge ${edge.name}`, state: "port failed",
                                why: `${plural(edge.failed_ports, "port")} cannot be bound` })),
      ...certificates.map(([state, many]) => ({ key: `cert ${state}`, what: plural(many, "certificate"), state, why: "" })),
    ];
  }

  function certificateProblem(one, now) {
    const left = Math.max(0, Math.ceil((one.not_after_ms - now) / 86400e3));
    return { key: `cert ${one.key}`, what: `certificate of ${one.name}`, of: one.edge,
             state: one.soon ? `expires in ${plural(left, "day")}` : one.state, why: one.last_error };
  }

  function problemsOf(status) {
    const found = [];
    const now = status.hub.time_ms;
    if (status.hub.store !== "ok")
      found.push({ key: "store", what: "Store", state: "", why: status.hub.store });
    if (!status.edges.length)
      found.push({ key: "edges", what: "No edge", state: "", why: "nothing takes visitors" });
    for (const edge of status.edges.filter((one) => !one.live))
      found.push({ key: edge.node_id, what: `edge ${edge.name}`, state: "not live",
                   why: edge.last_seen_ms ? `seen ${age(now - edge.last_seen_ms)} ago` : "never seen" });
    if (status.summary)
      return [...found, ...summaryProblems(status)];
    return [...found, ...serviceProblems(servicesOf(status)),
            ...certificatesOf(status).filter(isBadCertificate).map((one) => certificateProblem(one, now))];
  }

  const sentence = ({ what, of, state, why }) =>
    [of ? `${what} (${of})` : what, state, why].filter((part) => part).join(": ");

  // --- drawing ---

  function element(name, properties = {}, ...children) {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  }

  function setText(node, text) {
    if (node.textContent !== text)
      node.textContent = text;
  }

  function drawProblems(problems) {
    const shown = allProblems ? problems : problems.slice(0, PROBLEMS);
    const items = shown.map((one) => element("li", {},
      element("b", { textContent: one.what }), one.of ? ` (${one.of})` : "",
      ...(one.state ? [": ", element("span", { className: "state", textContent: one.state })] : []),
      one.why ? `: ${one.why}` : ""));
    const text = (nodes) => nodes.map((node) => node.textContent).join("\n");
    if (text(items) !== text([...$("problems").children]))
      $("problems").replaceChildren(...items);
    $("all-problems").hidden = problems.length <= PROBLEMS;
    setText($("all-problems"), allProblems ? `Show ${PROBLEMS}` : `Show all ${problems.length}`);
    $("all-problems").setAttribute("aria-expanded", String(allProblems));
    const empty = seen && (seen.status.summary?.tenants ?? seen.status.tenants.length) === 0;
    setText($("verdict"), problems.length ? plural(problems.length, "problem")
                                          : `Everything is up${empty ? "; there are no tenants yet" : ""}`);
    $("verdict").className = problems.length ? "bad" : "";
    document.title = problems.length ? `(${problems.length}) towonel` : "towonel";
  }

  // What has changed is said once, not what has stayed.
  function announce(problems) {
    const now = Object.fromEntries(problems.map((one) => [one.key, sentence(one)]));
    const said = known
      ? [...Object.keys(now).filter((one) => now[one] !== known[one]).map((one) => now[one]),
         ...Object.keys(known).filter((one) => !(one in now)).map((one) => `No longer: ${known[one]}`)]
      : [$("verdict").textContent];
    known = now;
    if (said.length)
      say(said.slice(0, 3).join(". ") + (said.length > 3 ? `, and ${said.length - 3} more changes` : ""));
  }

  function say(text) {
    $("announcement").textContent = text;
  }

  function drawTiles(status, services, agents) {
    const { edges, summary } = status;
    const up = summary ? summary.services.up ?? 0 : services.filter((one) => one.state === "up").length;
    const all = summary ? Object.values(summary.services).reduce((a, b) => a + b, 0) : services.length;
    const live = summary ? summary.agents.live : agents.filter((one) => one.live).length;
    const there = summary ? live + summary.agents.gone : agents.length;
    const alive = edges.filter((one) => one.live).length;
    const tiles = [
      ["Services up", number(up), `of ${number(all)}`, up < all],
      ["Agents live", number(live), `of ${number(there)}`, false],
      ["Edges live", number(alive), `of ${number(edges.length)}`, alive < edges.length || !alive],
      ["Visitors", number(sum(edges, "visitors")), `${number(sum(edges, "visitors_total"))} in all`, false],
      ["In", perSecond(rates(edges, "bytes_in")), `${bytes(sum(edges, "bytes_in"))} in all`, false],
      ["Out", perSecond(rates(edges, "bytes_out")), `${bytes(sum(edges, "bytes_out"))} in all`, false],
    ];
    if (!$("tiles").children.length)
      $("tiles").append(...tiles.map(() => element("div", {}, element("dt"), element("dd", {}, element("span"), " ", element("small")))));
    tiles.forEach(([name, value, more, bad], at) => {
      const tile = $("tiles").children[at];
      tile.className = bad ? "bad" : "";
      setText(tile.querySelector("dt"), name);
      setText(tile.querySelector("span"), value);
      setText(tile.querySelector("small"), more);
    });
  }

  // --- tables: rows stay the same nodes while what they are about is there, so that focus and
  // selection outlive an update ---

  const tables = new Map();

  function tableOf(id, columns) {
    if (!tables.has(id)) {
      const head = element("tr", {}, ...columns.map((column) =>
        element("th", { scope: "col", className: `${column.kind ?? ""} ${column.action ? "last" : ""}` },
                column.action ? element("span", { className: "unseen", textContent: column.label }) : column.label)));
      const body = element("tbody");
      const node = element("table", {}, element("thead", {}, head), body);
      // shown as blocks on a narrow screen, where browsers would forget that it is a table
      for (const [selector, role] of [["thead, tbody", "rowgroup"], ["tr", "row"], ["th", "columnheader"]])
        node.querySelectorAll(selector).forEach((one) => one.setAttribute("role", role));
      node.setAttribute("role", "table");
      node.setAttribute("aria-labelledby", `${id}-title`);
      const nothing = element("p", { className: "quiet", hidden: true, textContent: "Nothing here matches the filter." });
      document.querySelector(`#${id} .table`).append(node, nothing);
      const table = { columns, body, node, nothing, rows: new Map(), all: false, list: [] };
      tables.set(id, table);
      const more = document.querySelector(`#${id} > .more`);
      more.addEventListener("click", () => {
        table.all = !table.all;
        draw();
      });
    }
    return tables.get(id);
  }

  function newRow(table, item) {
    const row = element("tr");
    row.setAttribute("role", "row");
    for (const column of table.columns) {
      const cell = element("td");
      cell.setAttribute("role", "cell");
      cell.dataset.label = column.label;
      if (column.action) {
        cell.className = "last";
        cell.append(element("button", { type: "button", className: "small", textContent: column.label,
                                        onclick: () => column.action(row.item) }));
        cell.firstChild.setAttribute("aria-label", `${column.label} ${item.name}`);
      }
      row.append(cell);
    }
    return row;
  }

  function fillRow(table, row, item) {
    row.item = item;
    table.columns.forEach((column, at) => {
      const cell = row.children[at];
      if (column.action)
        return;
      setText(cell, String(column.text(item) ?? ""));
      const kind = `${column.kind ?? ""} ${column.mood?.(item) ?? ""}`.trim();
      if (cell.className !== kind)
        cell.className = kind;
    });
  }

  function wanted() {
    return $("filter").value.toLowerCase().split(/\s+/).filter((word) => word);
  }

  function matches(columns, item, words) {
    const text = columns.filter((column) => !column.action).map((column) => (column.whole ?? column.text)(item)).join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  }

  function drawTable(id, columns, list, { always = false } = {}) {
    const table = tableOf(id, columns);
    const words = wanted();
    const found = words.length ? list.filter((item) => matches(columns, item, words)) : list;
    const shown = table.all ? found : found.slice(0, ROWS);
    const section = $(id);
    const focused = document.activeElement;
    const gone = new Set(table.rows.keys());
    shown.forEach((item, at) => {
      let row = table.rows.get(item.key);
      if (!row)
        table.rows.set(item.key, (row = newRow(table, item)));
      gone.delete(item.key);
      fillRow(table, row, item);
      if (table.body.children[at] !== row)
        table.body.insertBefore(row, table.body.children[at] ?? null);
    });
    for (const one of gone) {
      table.rows.get(one).remove();
      table.rows.delete(one);
    }
    if (focused !== document.activeElement && focused?.isConnected)
      focused.focus({ preventScroll: true });
    section.hidden = !list.length && !always;
    table.node.hidden = !shown.length;
    table.nothing.hidden = found.length > 0 || !list.length;
    setText(section.querySelector(".count"), words.length ? `${found.length} of ${list.length}` : String(list.length));
    const more = section.querySelector(":scope > .more");
    more.hidden = found.length <= ROWS;
    more.setAttribute("aria-expanded", String(table.all));
    setText(more, table.all ? `Show ${ROWS}` : `Show all ${found.length}`);
    return [found.length, list.length];
  }

  const good = (is) => (is ? "good" : "bad");

  const SERVICES = [
    { label: "Service", kind: "name", text: (one) => one.service },
    { label: "Tenant", text: (one) => one.tenant },
    { label: "State", kind: "state", text: (one) => one.state, mood: (one) => good(one.state === "up") },
    { label: "Agents", kind: "number", text: (one) => one.agents.length },
    { label: "Why", text: (one) => one.why },
  ];
  const EDGES = [
    { label: "Edge", kind: "name", text: (one) => one.name },
    { label: "State", kind: "state", text: (one) => (one.live ? "live" : "not live"), mood: (one) => good(one.live) },
    { label: "Seen", kind: "number", text: (one) => age(one.last_seen_ms ? seen.status.hub.time_ms - one.last_seen_ms : null) },
    { label: "Agents", kind: "number", text: (one) => number(sizeOf(one.agents)) },
    { label: "Visitors", kind: "number", text: (one) => (one.traffic ? number(one.traffic.visitors) : NONE) },
    { label: "In", kind: "number", text: (one) => perSecond(rate(one, "bytes_in")) },
    { label: "Out", kind: "number", text: (one) => perSecond(rate(one, "bytes_out")) },
    { label: "Version", kind: "word", text: (one) => one.version },
    { label: "Failed ports", text: (one) => (Array.isArray(one.failed_ports)
      ? one.failed_ports.map((port) => `${port.port}/${port.protocol}`).join(", ") : one.failed_ports || "") },
    { label: "Addresses", text: (one) => one.addresses.join(", ") },
  ];
  const AGENTS = [
    { label: "Agent", kind: "name", text: (one) => one.agent_id.slice(0, 16) },
    { label: "Tenant", text: (one) => one.tenant },
    { label: "State", kind: "state", text: (one) => (one.live ? "live" : "not live"),
      mood: (one) => (one.live ? "good" : "warn") },
    { label: "Heard", kind: "number", text: (one) => age(one.heard_age_ms) },
    { label: "Tunnels", kind: "number", text: (one) => one.tunnels },
    { label: "By", kind: "word",
      text: (one) => [...new Set(one.transports.map((way) => way.transport))].sort().join(", ") || NONE },
    { label: "Last byte", kind: "number", text: (one) => age(one.last_byte_age_ms) },
    { label: "Round trip", kind: "number", text: (one) => (one.rtt_us ? `${(one.rtt_us / 1000).toFixed(1)} ms` : NONE) },
    { label: "Version", kind: "word", text: (one) => one.version ?? NONE },
  ];
  const CERTIFICATES = [
    { label: "Name", kind: "name", text: (one) => one.name },
    { label: "State", kind: "state", text: (one) => one.state,
      mood: (one) => (isBadCertificate(one) ? "bad" : one.state === "served" ? "good" : "") },
    { label: "Expires", kind: "number", text: (one) => day(one.not_after_ms) },
    { label: "Edge", text: (one) => one.edge },
    { label: "Last error", text: (one) => one.last_error },
  ];
  const INVITES = [
    { label: "Name", kind: "name", text: (one) => one.name },
    { label: "Hostnames", text: (one) => few(one.hostnames), whole: (one) => one.hostnames.join(" ") },
    { label: "Status", kind: "state", text: (one) => one.status, mood: (one) => (one.status === "active" ? "good" : "warn") },
    { label: "Until", kind: "number", text: (one) => (one.expires_at_ms ? day(one.expires_at_ms) : "for ever") },
    { label: "Made", kind: "number", text: (one) => day(one.created_at_ms) },
    { label: "Revoke", action: (one) => beSure("invite", one) },
  ];
  const EDGE_INVITES = [
    { label: "Name", kind: "name", text: (one) => one.name },
    { label: "Edge", text: (one) => one.edge_node_id.slice(0, 16) },
    { label: "Made", kind: "number", text: (one) => day(one.created_at_ms) },
    { label: "Revoke", action: (one) => beSure("edge-invite", one) },
  ];

  const sorted = (list, isBad, name) => list.sort((a, b) => isBad(b) - isBad(a) || byName(name(a), name(b)));
  const keyed = (list, name) => list.map((one) => ({ ...one, key: one[name] }));

  function drawLists(status, services, agents) {
    const totals = [
      drawTable("services", SERVICES, sorted(services, (one) => one.state !== "up", (one) => one.service)),
      drawTable("edges", EDGES, sorted(keyed(status.edges, "node_id"), (one) => !one.live, (one) => one.name)),
      drawTable("agents", AGENTS, sorted(agents, (one) => !one.live, (one) => `${one.tenant} ${one.agent_id}`)),
      drawTable("certificates", CERTIFICATES, sorted(certificatesOf(status), isBadCertificate, (one) => one.name)),
    ];
    if (!keyless)
      totals.push(
        drawTable("invites", INVITES, sorted(keyed(invites, "invite_id"), () => 0, (one) => one.name), { always: true }),
        drawTable("edge-invites", EDGE_INVITES, sorted(keyed(edgeInvites, "invite_id"), () => 0, (one) => one.name),
                  { always: true }));
    const [found, all] = totals.reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]);
    setText($("found"), wanted().length ? `${number(found)} of ${number(all)} rows` : "");
  }

  function draw() {
    $("door").hidden = keyless || Boolean(seen) || Boolean(key);
    $("picture").hidden = !seen && !failure;
    $("sieve").hidden = $("tiles").hidden = !seen;
    $("forget").hidden = !key;
    drawFreshness();
    const problems = seen ? problemsOf(seen.status) : [];
    if (failure)
      problems.unshift({ key: "hub", what: "The hub does not answer", state: "", why: failure +
        (seen ? `; what is shown is of ${new Date(seen.at).toTimeString().slice(0, 8)}` : "") });
    drawProblems(problems);
    if (!seen)
      return;
    const { status } = seen;
    const services = servicesOf(status);
    const agents = agentsOf(status);
    setText($("hub"), `${status.hub.url ? `${status.hub.url}, ` : ""}version ${status.hub.version}`);
    drawTiles(status, services, agents);
    drawLists(status, services, agents);
    $("nameless").hidden = !status.summary;
    announce(problems);
  }

  function drawFreshness() {
    setText($("fresh"), seen ? `${age(Date.now() - seen.at)} ago` : "");
  }

  // --- again and again ---

  async function poll() {
    clearTimeout(timer);
    timer = 0;
    const asked = key;
    try {
      const status = await look();
      if (!keyless && rounds++ % INVITES_EVERY === 0)
        await lookAtInvites();
      if (asked !== key)
        return;
      seen = { status, at: Date.now() };
      failure = null;
      count(status.edges);
    } catch (error) {
      if (asked !== key)
        return;
      if (error.status === 401) {
        forget();
        setText($("key-error"), "The hub does not know this operator key; its own is in operator.key in its data directory.");
        $("key").focus();
        return;
      }
      failure = error.message;
    }
    draw();
    clearTimeout(timer); // another one may have come and gone meanwhile
    timer = document.hidden ? 0 : setTimeout(poll, POLL_MS);
  }

  function forget() {
    clearTimeout(timer);
    key = "";
    seen = failure = known = null;
    invites = [];
    edgeInvites = [];
    rounds = 0;
    counted.clear();
    tables.forEach((table) => {
      table.rows.forEach((row) => row.remove());
      table.rows.clear();
    });
    document.querySelectorAll(".token").forEach(hideToken);
    document.querySelectorAll("form").forEach((form) => form.reset());
    $("problems").replaceChildren();
    ["hub", "fresh", "verdict", "found", "announcement"].forEach((id) => setText($(id), ""));
    document.title = "towonel";
    draw();
  }

  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = $("key").value.trim();
    $("key").value = "";
    if (!/^[A-Za-z0-9_-]{43}$/.test(given)) {
      setText($("key-error"), "This is no operator key: it has 43 letters, digits, \"-\" and \"_\".");
      return;
    }
    setText($("key-error"), "");
    key = given;
    draw();
    poll().then(() => key && $("main").focus());
  });
  $("forget").addEventListener("click", () => {
    forget();
    $("key").focus();
  });
  $("filter").addEventListener("input", () => draw());
  $("filter").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.value) {
      event.target.value = "";
      draw();
    }
  });
  $("all-problems").addEventListener("click", () => {
    allProblems = !allProblems;
    draw();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && (key || keyless) && !timer)
      poll();
  });
  // a page that is come back to must not have the key any more
  addEventListener("pagehide", () => !keyless && forget());
  setInterval(drawFreshness, 1000);

  // --- invites ---

  function hideToken(box) {
    box.replaceChildren();
    box.hidden = true;
  }

  async function copy(code, button) {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected: copy it";
    }
    say(button.textContent);
  }

  function showToken(id, made) {
    const box = document.querySelector(`#${id} .token`);
    const code = element("code", { textContent: made.token });
    const button = element("button", { type: "button", className: "main", textContent: "Copy", onclick: () => copy(code, button) });
    const done = element("button", { type: "button", textContent: "Done", onclick: () => {
      hideToken(box);
      $(`${id}-title`).focus();
    } });
    box.replaceChildren(element("p", {}, element("b", { textContent: made.name }),
                                ": its token is told now, and never again. Whoever has it can use it."),
                        code, element("div", { className: "row" }, button, done));
    box.hidden = false;
    button.focus();
    say(`Invited ${made.name}.`);
  }

  // One request at a time for each form or dialog; its error is told there.
  async function change(place, button, request) {
    if (button.getAttribute("aria-disabled") === "true")
      return null;
    const error = place.querySelector(".error");
    error.textContent = "";
    button.setAttribute("aria-disabled", "true");
    try {
      const { json } = await ask(...request);
      await lookAtInvites().catch(() => {});
      poll();
      return json;
    } catch (refusal) {
      error.textContent = `${refusal.message}.`;
      return null;
    } finally {
      button.setAttribute("aria-disabled", "false");
    }
  }

  function inviting(id, path, body) {
    const form = $(`${id.slice(0, -1)}-form`);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const made = await change(form, form.querySelector(".main"), ["POST", path, body()]);
      if (!made)
        return;
      form.reset();
      showToken(id, made);
    });
  }

  const given = (id) => $(id).value.trim() || undefined;
  inviting("invites", "v1/invites", () => ({
    hostnames: $("invite-hostnames").value.split(/[\s,]+/).filter((name) => name),
    name: given("invite-name"),
    expires_in_secs: Number($("invite-expires").value),
  }));
  inviting("edge-invites", "v1/edge-invites", () => ({ name: given("edge-invite-name") }));

  let doubted = null; // what the dialog is about

  function beSure(kind, invite) {
    doubted = { kind, invite };
    setText($("sure-title"), `Revoke ${invite.name}?`);
    setText($("sure-text"), kind === "invite"
      ? `Its tenant is removed: ${few(invite.hostnames)} and its ports are released, and its tunnels closed at once. ` +
        "This cannot be undone."
      : "The edge is cut off at once: it closes its ports and tunnels and forgets the routes. This cannot be undone.");
    setText($("sure").querySelector(".error"), "");
    $("sure").showModal();
    $("sure-no").focus();
  }

  $("sure-no").addEventListener("click", () => $("sure").close());
  $("sure-yes").addEventListener("click", async () => {
    const { kind, invite } = doubted;
    const done = await change($("sure"), $("sure-yes"), ["DELETE", `v1/${kind}s/${encodeURIComponent(invite.invite_id)}`]);
    if (!done)
      return;
    $("sure").close();
    $(`${kind}s-title`).focus();
    say(`Revoked ${invite.name}.`);
  });

  draw();
  if (keyless)
    poll();
  else
    $("key").focus();
})();
