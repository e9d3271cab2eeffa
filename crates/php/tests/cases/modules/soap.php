<?php
// load: soap
function work() {
    $client = new SoapClient(null, ['location' => 'http://127.0.0.1:1/', 'uri' => 'urn:a', 'trace' => 1, 'connection_timeout' => 1]);
    try { $client->call(1); } catch (SoapFault $e) { $said = $e->faultcode; }
    $server = new SoapServer(null, ['uri' => 'urn:a']);
    $server->addFunction('doubled');
    ob_start();
    $server->handle('<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><doubled xmlns="urn:a"><n>4</n></doubled></e:Body></e:Envelope>');
    $name = tempnam(sys_get_temp_dir(), 'wsdl');
    file_put_contents($name, '<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" name="n" targetNamespace="urn:n"><types/></definitions>');
    try { new SoapClient($name, ['cache_wsdl' => WSDL_CACHE_MEMORY]); } catch (SoapFault $e) { $wsdl = $e->faultcode; }
    unlink($name);
    return [$said, strip_tags(ob_get_clean()), $wsdl ?? 'read', is_soap_fault(1)];
}
function doubled($n) { return 2 * $n; }
function left() { return ['handler' => use_soap_error_handler(false)]; }
