<?php
echo preloaded();
