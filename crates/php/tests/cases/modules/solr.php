<?php
// load: solr
// without a server
function work() {
    $client = new SolrClient(['hostname' => '127.0.0.1', 'port' => 1, 'timeout' => 1]);
    try { $client->ping(); } catch (SolrException $e) { $said = get_class($e); }
    $document = new SolrInputDocument;
    $document->addField('id', '5');
    $query = new SolrQuery('a:b');
    $query->addField('id')->setRows(7);
    return [$said ?? null, $document->toArray()['fields'][0]->name, $query->toString(), SolrUtils::escapeQueryChars('a:b'), solr_get_version()];
}
function left() { return ['query' => (new SolrQuery)->getFields() !== null]; }
