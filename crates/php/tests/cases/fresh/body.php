<?php
echo strlen(file_get_contents('php://input', false, null, 0, 10)), ' of ', $_SERVER['CONTENT_LENGTH'];
