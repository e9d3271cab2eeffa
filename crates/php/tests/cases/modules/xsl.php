<?php
function work() {
    $sheet = new DOMDocument;
    $sheet->loadXML('<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:php="http://php.net/xsl" xmlns:math="http://exslt.org/math">
        <xsl:output method="text"/><xsl:template match="/"><xsl:value-of select="php:function(\'strrev\', string(/a))"/><xsl:value-of select="math:max(//b)"/></xsl:template></xsl:stylesheet>');
    $page = new DOMDocument;
    $page->loadXML('<a>abc<b>1</b><b>7</b></a>');
    $processor = new XSLTProcessor;
    $processor->registerPHPFunctions();
    $processor->setSecurityPrefs(XSL_SECPREF_NONE);
    $processor->importStylesheet($sheet);
    return [$processor->transformToXml($page), $processor->hasExsltSupport()];
}
function left() { return ['preferences' => (new XSLTProcessor)->getSecurityPrefs() === XSL_SECPREF_NONE]; }
